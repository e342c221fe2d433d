/* Shows the curves of the video that is chosen in a table. */
'use strict';
(() => {
  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  }

  /* Positions and values of a stored curve; null where there is no value. */
  function decode(stored) {
    const numbers = new Int16Array(bytes(stored.values));
    const y = Array.from(numbers, (number) => (number === -32768 ? null : number * stored.scale));
    let x = y.map((_, i) => i);
    if (stored.steps) {
      let at = 0;
      x = Array.from(new Uint16Array(bytes(stored.steps)), (step) => (at += step));
    }
    return { x, y };
  }

  /* One shape for all bands: a browser draws one path of many parts faster than many rectangles. */
  function shaded(bands) {
    const parts = bands.map(([start, stop]) => `M${start - 0.5},0V1H${stop - 0.5}V0Z`);
    return { type: 'path', path: parts.join(''), xref: 'x', yref: 'paper', layer: 'below', fillcolor: '#e6e9ed', line: { width: 0.8, color: '#dde1e6' } };
  }

  function figureOf(panels, video) {
    const whole = panels.reduce((sum, panel) => sum + panel.height, 0);
    const layout = {
      hovermode: 'x unified', hoversubplots: 'axis', dragmode: 'zoom', margin: { l: 54, r: 14, t: 34, b: 44 }, legend: { tracegroupgap: 0 },
      xaxis: {
        title: { text: 'frame' }, range: [-0.5, Math.max(video.frames - 0.5, 0.5)], ...(video.frames < 8 ? { dtick: 1 } : {}), tickformat: ',d',
        anchor: panels.length > 1 ? `y${panels.length}` : 'y', showspikes: false,
      },
      shapes: video.bands && video.bands.length ? [shaded(video.bands)] : [],
    };
    const data = [];
    const named = new Set();
    let top = 1;
    panels.forEach((panel, i) => {
      const end = top - panel.height / whole;
      const name = i ? `yaxis${i + 1}` : 'yaxis';
      layout[name] = { title: { text: panel.title }, domain: [Math.max(end + 0.02, 0), top], fixedrange: true, nticks: 5, anchor: 'x' };
      if (i === panels.length - 1) layout[name].domain = [0, top];
      if (panel.span) layout[name].range = panel.span;
      else layout[name].rangemode = 'tozero';
      panel.lines.forEach((line) => {
        const curve = video.curves[line.curve];
        if (!curve) return;
        data.push({
          ...decode(curve), type: 'scatter', mode: video.frames < 4 ? 'lines+markers' : 'lines', name: line.name,
          legendgroup: line.name, showlegend: !named.has(line.name), yaxis: i ? `y${i + 1}` : 'y',
          line: { color: line.color, width: line.width, dash: line.dash }, hovertemplate: '%{y:.3f}', meta: line.curve,
        });
        named.add(line.name);
      });
      top = end;
    });
    return { data, layout };
  }

  function listen(place) {
    const plot = place.querySelector('.plot');
    const panels = JSON.parse(document.querySelector(`script[data-panels="${place.id}"]`).textContent);
    const scripts = new Map();
    document.querySelectorAll(`script[data-curves="${place.id}"]`).forEach((one) => scripts.set(one.dataset.key, one));
    document.getElementById(place.dataset.firstTable).addEventListener('row-chosen', async ({ detail }) => {
      const video = JSON.parse(scripts.get(detail.key).textContent);
      place.querySelector('h3').textContent = detail.key;
      place.querySelector('.note').textContent = video.notes.join(' · ');
      plot.setAttribute('aria-label', `Curves of the video ${detail.key}`);
      delete place.dataset.video;
      await abawfw.draw(plot, figureOf(panels, video));
      place.dataset.video = detail.key;
      if (detail.byUser) place.scrollIntoView({ block: 'nearest' });
    });
  }

  document.querySelectorAll('.curves').forEach(listen);
})();
