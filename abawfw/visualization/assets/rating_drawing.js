/* Draws the plane or bar of a rating, and its curve over the time of the video. */
'use strict';
const drawing = (() => {
  const { RATE, SCALE, NONE } = passes;
  const WINDOW = 60; // seconds of a long video that the curve shows at once

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  /* A canvas ready to be drawn on, in pixels of the page. */
  function fresh(canvas) {
    const [width, height, dense] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
    if (canvas.width !== Math.round(width * dense)) canvas.width = Math.round(width * dense);
    if (canvas.height !== Math.round(height * dense)) canvas.height = Math.round(height * dense);
    const paper = canvas.getContext('2d');
    paper.setTransform(dense, 0, 0, dense, 0, 0);
    paper.clearRect(0, 0, width, height);
    paper.font = '12px system-ui, sans-serif';
    return [paper, width, height];
  }

  function line(paper, stroke, width, points) {
    paper.beginPath();
    points.forEach(([x, y], i) => (i ? paper.lineTo(x, y) : paper.moveTo(x, y)));
    Object.assign(paper, { strokeStyle: stroke, lineWidth: width });
    paper.stroke();
  }

  function write(paper, text, x, y, align) {
    paper.textAlign = align;
    paper.fillText(text, x, y);
  }

  /* The plane of two targets, or the bar of one, and where the rating stands. */
  function pad(canvas, targets, value) {
    const [paper, width, height] = fresh(canvas);
    const [first, second] = targets;
    for (const part of [-0.5, 0, 0.5]) {
      const [x, y] = [((part + 1) / 2) * width, ((1 - part) / 2) * height];
      line(paper, color(part ? 'grid' : 'axis'), 1, [[x, 0], [x, height]]);
      if (second) line(paper, color(part ? 'grid' : 'axis'), 1, [[0, y], [width, y]]);
    }
    paper.fillStyle = color('faint');
    write(paper, `${first} \u22121`, 6, height / 2 - 6, 'left');
    write(paper, '+1', width - 6, height / 2 - 6, 'right');
    if (second) write(paper, `${second} +1`, width / 2 + 6, 16, 'left');
    if (second) write(paper, '\u22121', width / 2 + 6, height - 8, 'left');
    paper.beginPath();
    paper.arc(((value[first] + 1) / 2) * width, ((1 - (second ? value[second] : 0)) / 2) * height, 9, 0, 2 * Math.PI);
    Object.assign(paper, { fillStyle: color('accent'), strokeStyle: color('ground'), lineWidth: 2 });
    paper.fill();
    paper.stroke();
  }

  /* First and last second that the curve shows. */
  function span(now, whole) {
    const from = Math.max(0, Math.min(now - WINDOW / 2, whole - WINDOW));
    return [from, Math.min(whole, from + WINDOW)];
  }

  function curve(canvas, samples, now, whole) {
    const [paper, width, height] = fresh(canvas);
    const [from, to] = span(now, whole);
    const place = (k, number) => [((k / RATE - from) / (to - from)) * width, ((1 - number / SCALE) / 2) * (height - 8) + 4];
    line(paper, color('axis'), 1, [place(from * RATE, 0), place(to * RATE, 0)]);
    paper.fillStyle = color('faint');
    write(paper, '+1', 4, 14, 'left');
    write(paper, '\u22121', 4, height - 5, 'left');
    write(paper, `${from.toFixed(0)} to ${to.toFixed(0)} s`, width - 6, height - 5, 'right');
    for (const [target, numbers] of Object.entries(samples)) {
      const parts = [[]];
      for (let k = Math.floor(from * RATE); k <= to * RATE && k < numbers.length; k += 1) {
        if (numbers[k] === NONE) parts.push([]);
        else parts.at(-1).push(place(k, numbers[k]));
      }
      parts.forEach((points) => line(paper, color(target), 1.8, points));
    }
    const [x] = place(now * RATE, 0);
    line(paper, color('ink'), 1, [[x, 0], [x, height]]);
  }

  return { pad, curve, span };
})();
