/* The legend of a figure, above it: nothing in the figure, neither the pointer's box nor the buttons, can cover it. */
'use strict';
(() => {
  const dashes = { dash: [3, 3], dot: [1, 1], dashdot: [3, 1, 1, 1], longdash: [5, 5], longdashdot: [5, 2, 1, 2] };
  const cross = 'M-1.5,-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z';
  const marks = {
    circle: 'M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0', diamond: 'M0,-5.5L5.5,0L0,5.5L-5.5,0Z', square: 'M-4,-4H4V4H-4Z',
    'triangle-up': 'M0,-5L5,4H-5Z', cross, x: cross, star: 'M0,-6L1.6,-2H6L2.5,0.8L3.7,5.2L0,2.6L-3.7,5.2L-2.5,0.8L-6,-2H-1.6Z',
  };

  function shape(tag, attributes) {
    const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
    Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
    return node;
  }

  /* A piece of the line, its mark, or a piece of the bar. */
  function swatch(trace) {
    const image = shape('svg', { width: 34, height: 14, viewBox: '-17 -7 34 14', 'aria-hidden': 'true' });
    const mode = trace.mode || 'lines';
    const { line = {}, marker = {} } = trace;
    if (trace.type === 'bar') image.append(shape('rect', { x: -8, y: -5, width: 16, height: 10, fill: marker.color }));
    else if (mode.includes('lines')) {
      const dash = (dashes[line.dash] || []).map((part) => part * Math.max(line.width || 2, 3));
      image.append(shape('path', { d: 'M-17,0H17', stroke: line.color, 'stroke-width': line.width === 0 ? 10 : Math.max(line.width || 2, 1.6), 'stroke-dasharray': dash.join(' ') }));
    }
    if (trace.type !== 'bar' && mode.includes('markers')) {
      const [symbol, open] = (marker.symbol || 'circle').split('-open');
      const color = marker.color || line.color;
      const look = open === undefined ? { fill: color } : { fill: 'none', stroke: color, 'stroke-width': 2 };
      image.append(shape('path', { d: marks[symbol], ...look, ...(symbol === 'x' ? { transform: 'rotate(45)' } : {}) }));
    }
    return image;
  }

  /* Names come escaped, as Plotly wants them. */
  function plain(name) {
    return new DOMParser().parseFromString(name, 'text/html').documentElement.textContent;
  }

  /* Put the legend above a node, an entry for every name if there are enough; a click hides or shows what has it. */
  abawfw.legend = (node, data, hidden, enough) => {
    const named = new Map();
    data.forEach((trace) => trace.name && trace.showlegend !== false && !named.has(trace.name) && named.set(trace.name, trace));
    let list = node.previousElementSibling;
    if (!list || !list.classList.contains('legend')) {
      list = document.createElement('div');
      list.className = 'legend';
      list.setAttribute('role', 'group');
      list.setAttribute('aria-label', 'Legend: lines that are shown');
      node.before(list);
    }
    const focused = [...list.children].indexOf(document.activeElement);
    list.hidden = named.size < enough;
    list.replaceChildren(...[...named.values()].map((trace) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.setAttribute('aria-pressed', String(!hidden.has(trace.name)));
      button.append(swatch(trace), plain(trace.name));
      button.addEventListener('click', () => {
        if (!hidden.delete(trace.name)) hidden.add(trace.name);
        const visible = !hidden.has(trace.name);
        button.setAttribute('aria-pressed', String(visible));
        Plotly.restyle(node, { visible }, node.data.flatMap((one, i) => (one.name === trace.name ? [i] : [])));
      });
      return button;
    }));
    if (focused >= 0 && list.children[focused]) list.children[focused].focus();
  };
})();
