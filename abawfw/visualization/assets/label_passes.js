/* Passes of a rating: their samples, versions, place in the browser's storage, and CSV. */
'use strict';
const passes = (() => {
  const RATE = 30; // samples per second of the video; sample k is the rating held at k / RATE
  const SCALE = 10000; // values are kept as whole numbers of 1 / SCALE
  const NONE = -32768; // of a moment that was skipped
  const PREFIX = 'abawfw-labels/1/';
  const RATINGS = ['valence,arousal', 'valence', 'arousal'];
  const all = new Map(); // by key in the browser's storage
  const unsaved = new Set(); // keys of those that are newer than what the browser keeps
  const others = new Set(); // files of the same names and other sizes, of which the browser keeps passes

  const targetsOf = (one) => one.targets.split(',');

  function encode(numbers) {
    const bytes = new Uint8Array(Int16Array.from(numbers).buffer);
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  }

  function decode(text) {
    return [...new Int16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer)];
  }

  /* A version keeps the samples of another one before a moment, and replaces those after it: nothing is overwritten. */
  function version(one, base, from) {
    one.versions.push({ base, from, tail: Object.fromEntries(targetsOf(one).map((target) => [target, ''])) });
    one.shown = one.versions.length - 1;
  }

  function samplesOf(one, index = one.shown) {
    const { base, from, tail } = one.versions[index];
    const before = base === null ? {} : samplesOf(one, base);
    return Object.fromEntries(targetsOf(one).map((target) => [target, [...(before[target] ?? []).slice(0, from), ...decode(tail[target])]]));
  }

  const keyOf = ({ video, bytes, rater, number }) => PREFIX + [video, bytes, rater, number].map(encodeURIComponent).join('/');

  const ofVideo = ({ id, bytes }) => [...all.values()].filter((one) => one.video === id && one.bytes === bytes).sort((a, b) => a.number - b.number);

  function make(video, rater, targets) {
    const number = Math.max(0, ...ofVideo(video).filter((one) => one.rater === rater).map((one) => one.number)) + 1;
    const one = { video: video.id, file: video.file, bytes: video.bytes, rater, number, targets, versions: [] };
    version(one, null, 0);
    all.set(keyOf(one), one);
    return one;
  }

  /* Keep a pass, with these samples of the version that is shown; throws where the browser does not. */
  function keep(one, samples) {
    const { from, tail } = one.versions[one.shown];
    for (const target of targetsOf(one)) tail[target] = encode(samples[target].slice(from));
    one.changed = Date.now();
    unsaved.add(keyOf(one));
    localStorage.setItem(keyOf(one), JSON.stringify(one));
    unsaved.delete(keyOf(one));
  }

  /* Take up what the browser has kept under a key, if it is of one of these videos and not here yet; false where it cannot be read. */
  function restore(key, videos) {
    if (unsaved.has(key)) return true;
    try {
      const one = JSON.parse(localStorage.getItem(key));
      if (!RATINGS.includes(one.targets) || keyOf(one) !== key || !one.versions[one.shown]) return false;
      one.versions.forEach((_, i) => samplesOf(one, i));
      const named = videos.filter((v) => v.id === one.video);
      if (!named.some((v) => v.bytes === one.bytes)) named.forEach(() => others.add(`${one.file} of ${one.bytes} bytes`));
      else if (all.get(key)?.changed !== one.changed) all.set(key, one);
      return true;
    } catch {
      return false;
    }
  }

  const keys = () => Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i)).filter((key) => key.startsWith(PREFIX));

  /* The same for every key; those that cannot be read. */
  function restoreAll(videos) {
    const kept = keys();
    for (const key of all.keys()) if (!kept.includes(key) && !unsaved.has(key)) all.delete(key);
    others.clear();
    return kept.filter((key) => !restore(key, videos));
  }

  function remove(one) {
    all.delete(keyOf(one));
    unsaved.delete(keyOf(one));
    localStorage.removeItem(keyOf(one));
  }

  /* Where the passes are, in words. */
  function place() {
    if (unsaved.size) return 'Not kept: download the passes before you close the page.';
    const more = others.size ? ` It also keeps passes of ${[...others].join(', ')}: pick that file above to see them.` : '';
    return `Kept in this browser as they grow; a download is a copy.${more}`;
  }

  /* What is rated in a pass, in words. */
  function text(one) {
    const rated = samplesOf(one)[targetsOf(one)[0]].filter((number) => number !== NONE).length;
    return `${targetsOf(one).join(' and ')}, ${(rated / RATE).toFixed(1)} s`;
  }

  const name = (one) => `${one.file}, ${one.rater}, pass ${one.number}`;

  /* An entry of the list of passes: a text to be filled in, and buttons by what they are called. */
  function item(one, actions) {
    const made = document.createElement('li');
    made.append(document.createElement('span'));
    for (const [called, action] of Object.entries(actions)) {
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: called, ariaLabel: `${called} ${name(one)}` });
      button.addEventListener('click', () => action(one));
      made.append(button);
    }
    return made;
  }

  function csv(one) {
    const samples = samplesOf(one);
    const plain = (words) => words.replace(/\s+/gu, ' ');
    const head = { video: plain(one.video), file: plain(one.file), rater: one.rater, pass: one.number, rate: RATE };
    const cell = (number) => (number === NONE ? '' : (number / SCALE).toFixed(4));
    const rows = samples[targetsOf(one)[0]].map((_, k) => [(k / RATE).toFixed(6), ...targetsOf(one).map((target) => cell(samples[target][k]))].join(','));
    return [...Object.entries(head).map(([key, is]) => `# ${key}: ${is}`), `time,${one.targets}`, ...rows].join('\n') + '\n';
  }

  function download(one) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([csv(one)], { type: 'text/csv' }));
    link.download = `${one.video}.${one.rater}.${one.number}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  return { RATE, SCALE, NONE, PREFIX, all, unsaved, targetsOf, version, samplesOf, keyOf, ofVideo, make, keep, restoreAll, remove, place, text, name, item, download };
})();
