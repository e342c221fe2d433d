/* Shows the curves of the video that is chosen in a table, or that the address names: PAGE#video=NAME. */
'use strict';
(() => {
  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  }

  /* The second at which a frame is shown; its number where the frame rate is unknown. */
  function clockOf({ times, frames }) {
    if (!times) return (frame) => frame;
    if (times.step) return (frame) => times.start + frame * times.step;
    const known = new Float32Array(bytes(times.known));
    const last = Math.max(known.length - 2, 0);
    return (frame) => {
      const i = Math.min(Math.floor(frame / times.every), last);
      const [from, to] = [i * times.every, i === last ? frames - 1 : (i + 1) * times.every];
      return to > from ? known[i] + ((known[i + 1] - known[i]) * (frame - from)) / (to - from) : known[i];
    };
  }

  /* Frames and values of a stored curve; null where there is no value. */
  function decode(stored) {
    const numbers = new Int16Array(bytes(stored.values));
    const y = Array.from(numbers, (number) => (number === -32768 ? null : number * stored.scale));
    let frames = y.map((_, i) => i);
    if (stored.steps) {
      let at = 0;
      frames = Array.from(new Uint16Array(bytes(stored.steps)), (step) => (at += step));
    }
    return { frames, y };
  }

  /* One shape for all bands: a browser draws one path of many parts faster than many rectangles. */
  function shaded(bands, edge, look) {
    const parts = bands.map(([start, stop]) => `M${edge(start)},0V1H${edge(stop)}V0Z`);
    return { type: 'path', path: parts.join(''), xref: 'x', yref: 'paper', layer: 'below', fillcolor: look.fill, line: { width: 0.8, color: look.edge } };
  }

  /* The ends of an axis as they are wanted, or further apart: no value is cut off. */
  function widened([low, high], traces) {
    const values = traces.flatMap((trace) => trace.y).filter((value) => value !== null);
    const reach = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [low + 0.05, high - 0.05]);
    return [reach[0] - 0.05, reach[1] + 0.05];
  }

  function figureOf({ panels, band }, video) {
    const whole = panels.reduce((sum, panel) => sum + panel.height, 0);
    const clock = clockOf(video);
    const end = video.frames - 1;
    const half = end > 0 ? (clock(end) - clock(0)) / end / 2 : 0.5;
    const edge = (frame) => (frame <= 0 ? clock(0) - half : frame > end ? clock(end) + half : (clock(frame - 1) + clock(frame)) / 2);
    const layout = {
      hovermode: 'x unified', hoversubplots: 'axis', dragmode: 'zoom', margin: { l: 54, r: 14, t: 30, b: 44 },
      xaxis: {
        title: { text: video.times ? 'time (s)' : 'frame' }, range: [edge(0), edge(video.frames)], anchor: panels.length > 1 ? `y${panels.length}` : 'y', showspikes: false,
        unifiedhovertitle: { text: video.times ? '%{x:.2f} s' : 'frame %{x:,d}' },
        ...(video.times ? {} : { tickformat: ',d', ...(video.frames < 8 ? { dtick: 1 } : {}) }),
      },
      shapes: video.bands && video.bands.length ? [shaded(video.bands, edge, band)] : [],
    };
    const data = [];
    const frame = video.times ? ' (frame %{customdata:,d})' : '';
    let top = 1;
    panels.forEach((panel, i) => {
      const bottom = top - panel.height / whole;
      const traces = panel.lines.filter((line) => video.curves[line.curve]).map((line, k) => {
        const { frames, y } = decode(video.curves[line.curve]);
        const marked = line.mark || video.frames < 4;
        return {
          x: frames.map(clock), y, customdata: frames, type: 'scatter', mode: marked ? 'lines+markers' : 'lines', name: line.name, yaxis: i ? `y${i + 1}` : 'y',
          line: { color: line.color, width: line.width, dash: line.dash }, hovertemplate: `${line.hover}: %{y:.3f}${i + k ? '' : frame}<extra></extra>`, meta: line.curve,
          ...(line.fill ? { fill: 'tonexty', fillcolor: line.fill } : {}),
          ...(marked ? { marker: { color: line.color, symbol: line.mark || 'circle', size: 7, maxdisplayed: 12 } } : {}),
        };
      });
      data.push(...traces);
      const last = i === panels.length - 1;
      layout[i ? `yaxis${i + 1}` : 'yaxis'] = {
        title: { text: panel.title }, domain: [last ? 0 : Math.max(bottom + 0.02, 0), top], fixedrange: true, nticks: 5, anchor: 'x',
        ...(panel.span ? { range: widened(panel.span, traces) } : { rangemode: 'tozero' }),
      };
      top = bottom;
    });
    return { data, layout };
  }

  /* The video that the address names; null where it names none. */
  function linked() {
    const found = /^#video=(.+)$/s.exec(window.location.hash);
    if (!found) return null;
    try {
      return decodeURIComponent(found[1]);
    } catch {
      return found[1];
    }
  }

  function listen(place) {
    const plot = place.querySelector('.plot');
    const form = JSON.parse(document.querySelector(`script[data-panels="${place.id}"]`).textContent);
    const scripts = new Map();
    document.querySelectorAll(`script[data-curves="${place.id}"]`).forEach((one) => scripts.set(one.dataset.key, one));
    const show = async ({ key, byUser }) => {
      const video = JSON.parse(scripts.get(key).textContent);
      const link = place.querySelector('a');
      link.hidden = false;
      place.querySelector('h3').textContent = key;
      link.href = `#video=${encodeURIComponent(key)}`;
      place.querySelector('.note').textContent = video.notes.join(' · ');
      plot.setAttribute('aria-label', `Curves of the video ${key}`);
      delete place.dataset.video;
      if (byUser) window.history.replaceState(null, '', link.href);
      await abawfw.draw(plot, figureOf(form, video));
      place.dataset.video = key;
      if (byUser) place.scrollIntoView({ block: 'nearest' });
    };
    document.getElementById(place.dataset.table).addEventListener('row-chosen', ({ detail }) => detail.done.push(show(detail)));
  }

  /* Show the video that the address names, and bring it into view; without one the first of the table. */
  async function follow(place) {
    const [key, rows] = [linked(), [...document.querySelectorAll(`#${place.dataset.table} tr[data-key]`)]];
    const found = rows.find((row) => row.dataset.key === key);
    place.querySelector('.warning').hidden = key === null || Boolean(found);
    place.querySelector('.warning').textContent = `The link names the video ${key}, which is not on this page.`;
    if (found || (rows.length && !place.dataset.video)) await abawfw.choose(found || rows[0], false);
    if (found) found.scrollIntoView({ block: 'nearest' });
    if (key !== null) place.scrollIntoView({ block: 'nearest' });
  }

  async function start() {
    const places = [...document.querySelectorAll('.curves')];
    places.forEach(listen);
    for (const place of places) await follow(place);
    await abawfw.drawFigures();
    if (linked() !== null) places.forEach((place) => place.scrollIntoView({ block: 'nearest' })); // figures above it have moved it
    window.addEventListener('hashchange', () => linked() !== null && places.forEach(follow));
    document.documentElement.dataset.drawn = 'true';
  }

  document.addEventListener('DOMContentLoaded', start);
})();
