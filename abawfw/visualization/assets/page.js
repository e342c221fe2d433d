/* Draws figures in the colours of the reader's system, each below a legend of its own. */
'use strict';
const abawfw = (() => {
  const dark = matchMedia('screen and (prefers-color-scheme: dark)'); // paper is light
  const darkColors = JSON.parse(document.getElementById('dark-colors').textContent);
  const drawn = new Map(); // figures by node, with their colours on a light ground
  const hidden = new WeakMap(); // names of the lines that are switched off, by node
  const config = {
    showSendToCloud: false, plotlyServerURL: '', // nothing leaves this page
    responsive: true, displaylogo: false, doubleClick: 'reset',
    modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'],
  };

  function template() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      gridcolor: color('grid'), zerolinecolor: color('axis'), linecolor: color('axis'), automargin: true,
      title: { standoff: 8, font: { size: 13 } }, tickfont: { size: 12 },
    };
    return {
      layout: {
        font: { family: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif', size: 13, color: color('ink') },
        paper_bgcolor: color('ground'), plot_bgcolor: color('ground'), xaxis: axis, yaxis: axis, hovermode: 'closest',
        margin: { l: 54, r: 14, t: 30, b: 46 }, title: { x: 0, xref: 'paper', xanchor: 'left', font: { size: 14 } },
        hoverlabel: { bgcolor: color('ground'), bordercolor: color('axis'), font: { size: 12, color: color('ink') }, align: 'left', namelength: -1 },
        modebar: { bgcolor: color('ground'), color: color('faint'), activecolor: color('accent') },
      },
      data: { heatmap: [{ colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11 } } }] },
    };
  }

  /* A copy in which every colour of the palette is the one that stands for it on a dark ground. */
  function themed(value, isColor = false) {
    if (typeof value === 'string') return (isColor && darkColors[value]) || value;
    if (Array.isArray(value)) return isColor || typeof value[0] === 'object' ? value.map((one) => themed(one, isColor)) : value;
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, themed(one, isColor || /color(scale)?$/.test(key))]));
  }

  /* Draw a figure in a node; a promise that is kept when it stands. */
  function draw(node, figure) {
    drawn.set(node, figure);
    if (!hidden.has(node)) hidden.set(node, new Set());
    const { data, layout } = dark.matches ? themed(figure) : figure;
    abawfw.legend(node, data, hidden.get(node), layout.showlegend ? 1 : 2);
    const traces = data.map((trace) => ({ ...trace, visible: !hidden.get(node).has(trace.name) }));
    return Plotly.react(node, traces, { ...layout, showlegend: false, template: template() }, config);
  }

  async function drawFigures() {
    for (const script of document.querySelectorAll('script[data-figure]')) {
      await draw(document.getElementById(script.dataset.figure), JSON.parse(script.textContent));
      await new Promise((next) => setTimeout(next)); // the page answers between two figures
    }
  }

  dark.addEventListener('change', () => [...drawn].forEach(([node, figure]) => draw(node, figure)));
  return { draw, drawFigures };
})();
