/* Plays videos and samples the rating 30 times a second on the video's clock; every pass is kept in the browser as it grows. */
'use strict';
(() => {
  const { RATE, SCALE, NONE, targetsOf } = passes;
  const FORMATS = [
    ['H.264 in MP4', 'video/mp4; codecs="avc1.640028"'], ['HEVC in MP4', 'video/mp4; codecs="hvc1.1.6.L93.B0"'], ['AV1 in MP4', 'video/mp4; codecs="av01.0.04M.08"'],
    ['VP9 in WebM', 'video/webm; codecs="vp9"'], ['VP8 in WebM', 'video/webm; codecs="vp8"'],
  ];
  const $ = (id) => document.getElementById(id);
  const video = $('video');
  const listed = JSON.parse($('videos').textContent);
  const items = new WeakMap(); // of the list of passes
  const value = { valence: 0, arousal: 0 };
  let shown = listed[0]; // the video
  let pass = null; // the pass that is rated, drawn and undone
  let trace = {}; // its samples by target
  let mode = ''; // 'rate' or 'watch' while the video plays
  let resumes = false; // whether rating goes on where it paused, nothing having moved since
  let begun = 0; // number of samples when the video was set going
  let savedAt = 0;
  let awake = false;
  let elsewhere = false; // the page was opened in another tab, which has the work now

  const lengthOf = (samples) => (Object.values(samples)[0] ?? []).length;
  const seconds = (t) => `${Math.floor(t / 60)}:${(t % 60).toFixed(1).padStart(4, '0')}`;

  /* ---- passes ---- */

  function save() {
    if (!pass || elsewhere) return;
    savedAt = performance.now();
    const all = !passes.unsaved.size;
    try {
      passes.keep(pass, trace);
    } catch (error) {
      if (all) warn(`This browser keeps no more of this work (${error.name}): download the passes before you close the page.`);
    }
    $('kept').textContent = passes.place();
  }

  /* Take up what the browser has kept of these videos; what the reader should know of it. */
  function restore() {
    try {
      const wrong = passes.restoreAll(listed);
      return wrong.length ? `What this browser has kept as ${wrong.join(', ')} cannot be read, and is left as it is.` : '';
    } catch (error) {
      return `This browser keeps nothing for this page (${error.name}): download the passes before you close it.`;
    }
  }

  function open(one) {
    stop();
    pass = one;
    trace = one ? passes.samplesOf(one) : {};
    resumes = false;
    follow(video.currentTime);
    describe();
  }

  /* The last pass of this video, rater and rating; none before the first. */
  function choose() {
    const fit = passes.ofVideo(shown).filter((one) => one.rater === $('rater').value && one.targets === $('targets').value);
    open(fit.at(-1) ?? null);
  }

  function begin() {
    const rater = $('rater').value;
    if (!/^[\p{L}\p{N}_-]+$/u.test(rater)) {
      warn(`${rater ? `'${rater}'` : 'The rater'} needs a name of letters, digits, - and _: it becomes a part of file names.`);
      $('rater').focus();
      return false;
    }
    stop();
    restore(); // another page may have begun a pass of this number
    open(passes.make(shown, rater, $('targets').value));
    save();
    return true;
  }

  function undo(way) {
    const next = pass ? pass.shown + way : -1;
    if (!pass?.versions[next]) return;
    stop();
    save();
    pass.shown = next;
    open(pass);
    save();
    say(`Version ${next + 1} of ${pass.versions.length}: ${seconds(lengthOf(trace) / RATE)} rated.`);
  }

  /* ---- the clock of the video, and the samples on it ---- */

  /* The length of the video; as long as the browser knows none, that which was measured, or more if more was played or rated. */
  const known = () => Number.isFinite(video.duration) || shown.seconds > 0;
  const lasts = () => (Number.isFinite(video.duration) ? video.duration : Math.max(shown.seconds, video.currentTime, lengthOf(trace) / RATE));

  function fill(t) {
    const end = Number.isFinite(video.duration) ? Math.ceil(video.duration * RATE) : Infinity; // a file may have grown since it was measured
    const last = Math.min(Math.floor(t * RATE + 1e-6), end - 1);
    for (const target of targetsOf(pass)) {
      const number = Math.round(value[target] * SCALE);
      while (trace[target].length <= last) trace[target].push(number);
    }
  }

  /* The rating moves: until then it was where it stood; samples after that are taken anew. */
  function move(to, wall = performance.now()) {
    if (mode === 'rate') {
      const t = clock.at(wall); // before now where the browser was busy when the pointer moved
      fill(t);
      const known = Math.max(begun, Math.floor(t * RATE + 1e-6) + 1);
      for (const target of targetsOf(pass)) trace[target].length = Math.min(trace[target].length, known);
    }
    for (const [target, x] of Object.entries(to)) value[target] = Math.max(-1, Math.min(1, x));
    wake();
  }

  /* Make room for samples from here on. */
  function cut() {
    const at = Math.ceil(video.currentTime * RATE - 1e-6);
    const there = lengthOf(trace);
    if (resumes) say('Rating.');
    else if (at < there) {
      passes.version(pass, pass.shown, at);
      for (const target of targetsOf(pass)) trace[target].length = at;
      say(`What was rated after ${seconds(video.currentTime)}, ${((there - at) / RATE).toFixed(1)} s, is replaced; Undo brings it back.`);
    } else {
      for (const target of targetsOf(pass)) while (trace[target].length < at) trace[target].push(NONE);
      say(at > there ? `From ${seconds(there / RATE)} to ${seconds(at / RATE)} nothing is rated.` : 'Rating.');
    }
    begun = lengthOf(trace);
  }

  async function play(how) {
    const again = how === mode;
    stop();
    if (again || elsewhere || video.error || (video.readyState && !video.videoWidth)) return; // which was said
    if (how === 'rate') {
      $('alert').hidden = true;
      if (video.ended) return say('The video is over: go back to the moment from which you want to rate.');
      if (pass && (pass.rater !== $('rater').value || pass.targets !== $('targets').value)) choose(); // typed, and the field not left yet
      if (!pass && !begin()) return;
      cut();
    } else resumes = false;
    clock.start();
    mode = how;
    describe();
    $('rating').scrollIntoView({ block: 'nearest' });
    wake();
    try {
      await video.play();
    } catch (error) {
      if (error.name !== 'AbortError') stop(); // which a pause meanwhile causes
    }
  }

  function stop() {
    if (!mode) return;
    const rated = mode === 'rate';
    const jumped = clock.jumped();
    if (rated) fill(video.ended && !jumped ? lasts() : clock.at(performance.now()));
    mode = '';
    video.pause();
    resumes = rated && !jumped;
    if (rated) {
      save();
      say(video.ended ? 'The video is over; download the pass below, or begin another one.' : `Paused at ${seconds(video.currentTime)}.`);
      if (jumped) warn(`The video jumped from ${seconds(clock.last())} to ${seconds(video.currentTime)}, which this page did not ask for: rating has stopped at ${seconds(clock.last())}.`);
    }
    describe();
  }

  function seek(t) {
    stop();
    resumes = false;
    video.currentTime = Math.max(0, Math.min(known() ? lasts() : Infinity, t));
    follow(video.currentTime);
    wake();
  }

  /* Show the rating of a moment, so that rating goes on from it. */
  function follow(t) {
    for (const target of pass ? targetsOf(pass) : []) {
      const number = trace[target][Math.floor(t * RATE + 1e-6)];
      if (number !== undefined && number !== NONE) value[target] = number / SCALE;
    }
  }

  const rated = () => $('targets').value.split(',');

  function lostGamepad() {
    const where = mode === 'rate' ? `: paused at ${seconds(video.currentTime)}` : '';
    stop();
    warn(`The gamepad is gone${where}. Connect it again and move its stick, or go on with pointer or keys.`);
  }

  /* ---- what is seen ---- */

  function say(text) {
    $('status').textContent = text;
  }

  function warn(text, command = '') {
    const [line, code] = $('alert').children;
    line.textContent = text;
    code.textContent = command;
    code.hidden = !command;
    $('alert').hidden = false;
  }

  function describe() {
    $('rate').textContent = mode === 'rate' ? 'Pause' : 'Rate';
    $('watch').textContent = mode === 'watch' ? 'Pause' : 'Watch';
    $('undo').disabled = !pass || pass.shown === 0;
    $('redo').disabled = !pass || pass.shown === pass.versions.length - 1;
    $('pass').textContent = pass ? `Pass ${pass.number} of ${pass.rater}: ${$('targets').selectedOptions[0].text}, ${shown.file}` : 'No pass yet: Rate begins one.';
    $('pad').classList.toggle('bar', rated().length === 1);
    document.querySelectorAll('[data-target]').forEach((label) => { label.hidden = !rated().includes(label.dataset.target); });
    if (!mode) list();
    wake();
  }

  function list() {
    $('kept').textContent = passes.place();
    const all = [...passes.all.values()].sort((a, b) => passes.keyOf(a).localeCompare(passes.keyOf(b), undefined, { numeric: true }));
    const nodes = all.map((one) => {
      if (!items.has(one)) items.set(one, passes.item(one, { Open: reopen, Download: download, Delete: remove }));
      const item = items.get(one);
      item.firstChild.textContent = `${passes.name(one)}: ${passes.text(one)}`;
      if (one === pass) item.setAttribute('aria-current', 'true');
      else item.removeAttribute('aria-current');
      return item;
    });
    const old = [...$('passes').children]; // a button that is put in anew while it is pressed is not clicked
    if (nodes.length !== old.length || nodes.some((node, i) => node !== old[i])) $('passes').replaceChildren(...nodes);
    $('all').hidden = all.length < 2;
  }

  function draw(now) {
    for (const target of rated()) {
      $(target).value = value[target];
      $(target).nextElementSibling.textContent = value[target].toFixed(2).replace('-', '−');
    }
    Object.assign($('position'), { max: lasts(), value: now });
    $('clock').textContent = `${seconds(now)} / ${known() ? seconds(lasts()) : 'unknown'}`;
    drawing.pad($('pad'), rated(), value);
    drawing.curve($('trace'), trace, now, lasts() || 1);
  }

  function tick(wall) {
    const again = look(wall);
    if (clock.jumped()) (mode === 'rate' ? stop : clock.start)();
    const now = mode ? Math.max(0, clock.at(wall)) : video.currentTime;
    if (mode === 'rate') {
      fill(now);
      if (wall - savedAt > 1000) save();
    } else if (mode === 'watch') follow(now);
    draw(now);
    awake = Boolean(mode || again);
    if (awake) requestAnimationFrame(tick);
  }

  function wake() {
    if (!awake) requestAnimationFrame(tick);
    awake = true;
  }

  /* ---- videos and files ---- */

  function load(one) {
    stop();
    shown = one;
    value.valence = value.arousal = 0;
    $('choice').value = String(listed.indexOf(one));
    $('alert').hidden = true;
    say('');
    video.src = one.path;
    choose();
  }

  function unplayable(reason) {
    const what = `${shown.file} cannot be played: ${reason}${shown.problem ? ` (${shown.problem})` : ''}.`;
    const more = shown.command ? ' Convert it, and write this page anew for the new file:' : '';
    warn(`${what} This browser plays ${FORMATS.filter(([, type]) => video.canPlayType(type)).map(([name]) => name).join(', ') || 'no video'}.${more}`, shown.command);
  }

  /* A file that the reader has picked: that of a video on the page which was not found, or another video. */
  function pick() {
    const [file] = $('file').files;
    if (!file) return;
    stop();
    const id = file.name.replace(/\.[^.]*$/, '');
    const same = listed.find((v) => v.id === id);
    let one = listed.find((v) => v.file === file.name && v.bytes === file.size);
    if (!one) {
      one = { id, file: file.name, bytes: file.size, seconds: 0, problem: '', command: '' };
      listed.push(one);
      $('choice').append(new Option(file.name, String(listed.length - 1)));
      restore();
    }
    one.path = URL.createObjectURL(file);
    load(one);
    if (same && same !== one) warn(`${file.name} has ${file.size} bytes and is not the ${same.file} of this page, which has ${same.bytes}: its passes are kept apart.`);
  }

  function reopen(one) {
    const of = listed.find((v) => v.id === one.video && v.bytes === one.bytes);
    $('rater').value = one.rater;
    $('targets').value = one.targets;
    if (of !== shown) load(of);
    open(one);
  }

  function download(one) {
    stop();
    if (lengthOf(passes.samplesOf(one))) passes.download(one);
    else say('Nothing is rated in this pass yet.');
  }

  function remove(one) {
    if (!confirm(`Delete ${passes.name(one)}? It cannot be brought back.`)) return;
    stop();
    try { passes.remove(one); } catch { /* it was never kept */ }
    if (one === pass) choose();
    else list();
  }

  /* ---- beginning ---- */

  const by = (change) => seek(video.currentTime + change);
  const look = input.listen({ targets: rated, value, move, play, seek: by, undo, say, lost: lostGamepad }, $('pad'), $('position'));

  const on = (node, events, action) => events.split(' ').forEach((event) => node.addEventListener(event, action));
  on($('choice'), 'change', () => load(listed[Number($('choice').value)]));
  on($('file'), 'change', pick);
  on($('rater'), 'change', choose);
  on($('targets'), 'change', choose);
  on($('new'), 'click', begin);
  on($('rate'), 'click', () => play('rate'));
  on($('watch'), 'click', () => play('watch'));
  on($('back'), 'click', () => by(-5));
  on($('ahead'), 'click', () => by(5));
  on($('undo'), 'click', () => undo(-1));
  on($('redo'), 'click', () => undo(1));
  on($('speed'), 'change', () => clock.run(Number($('speed').value)));
  on($('position'), 'input', () => seek(Number($('position').value)));
  on($('trace'), 'click', (event) => {
    const [from, to] = drawing.span(video.currentTime, lasts());
    seek(from + (event.offsetX / $('trace').clientWidth) * (to - from));
  });
  on($('all'), 'click', () => [...passes.all.values()].forEach(download));
  for (const target of ['valence', 'arousal']) on($(target), 'input', () => move({ [target]: Number($(target).value) }));
  on(window, 'gamepadconnected', wake);
  on(window, 'resize', wake);
  on(matchMedia('(prefers-color-scheme: dark)'), 'change', wake);
  on(video, 'pause', () => { if (video.paused) stop(); }); // the event of a pause may come when it plays again
  on(video, 'seeking', () => { resumes = false; });
  on(video, 'seeked loadeddata durationchange', wake);
  on(video, 'loadedmetadata', () => {
    if (!video.videoWidth) unplayable('this browser decodes no image of it');
    else if (shown.seconds && Math.abs(lasts() - shown.seconds) > 1) warn(`${shown.file} lasts ${seconds(lasts())} here, and lasted ${seconds(shown.seconds)} when this page was written: if it was replaced, write the page anew.`);
    wake();
  });
  on(video, 'error', () => {
    stop();
    unplayable(shown.path.startsWith('blob:') ? 'this browser does not know its format' : `there is no ${shown.path} beside this page, in which case pick the file above, or this browser does not know its format`);
  });
  on(document, 'visibilitychange', () => {
    if (!document.hidden || mode !== 'rate') return;
    stop();
    warn(`Paused at ${seconds(video.currentTime)}, since the page was out of sight.`);
  });
  on(window, 'pagehide', stop);
  on(window, 'beforeunload', (event) => { if (passes.unsaved.size) event.preventDefault(); });
  on(window, 'storage', ({ key }) => {
    if (key === `open ${location.pathname}`) {
      stop();
      elsewhere = true;
      warn('This page was opened in another tab, where the work goes on. Load this one again to go on here.');
    } else if (key?.startsWith(passes.PREFIX) && !elsewhere && !mode) {
      restore();
      const same = pass && passes.all.get(passes.keyOf(pass));
      if (!same) choose();
      else if (same !== pass) open(same);
      else list();
    }
  });

  const wrong = restore();
  try { localStorage.setItem(`open ${location.pathname}`, String(Math.random())); } catch { /* there is no other tab to tell */ }
  $('choice').append(...listed.map((one, i) => new Option(one.file, String(i))));
  const last = [...passes.all.values()].sort((a, b) => a.changed - b.changed).at(-1);
  if (last) [$('rater').value, $('targets').value] = [last.rater, last.targets];
  load(last ? listed.find((v) => v.id === last.video && v.bytes === last.bytes) : shown);
  if (wrong) warn(wrong);
  document.documentElement.dataset.drawn = 'true';
})();
