/* The clock of a video that is rated, and whether the video only played. */
'use strict';
const clock = (() => {
  const JUMP = 0.5; // seconds of the video; playing alone never takes it further ahead of where it is due
  const video = document.getElementById('video');
  let read = { at: 0, wall: 0 }; // the player's time, and when it was read

  /* The video is set going from where it is. */
  function start() {
    read = { at: video.currentTime, wall: performance.now() };
  }

  /* Whether the video has got where it is otherwise than by playing: the browser moved it, or it is at the stated end of a file that is cut off. */
  function jumped() {
    const ahead = video.currentTime - read.at;
    return ahead < -JUMP || ahead > JUMP + ((performance.now() - read.wall) / 1000) * video.playbackRate;
  }

  /* The last moment that was read, which a jump leaves as it is. */
  const last = () => read.at;

  /* The moment of the video at a moment of the wall, a little ago: that of the player, less what has passed since. */
  function at(wall) {
    if (jumped()) return read.at;
    if (video.currentTime !== read.at) start(); // browsers do not read it anew within one event, so the time of reading is kept with it
    return video.paused || video.ended ? read.at : read.at - (Math.max(0, read.wall - wall) / 1000) * video.playbackRate;
  }

  /* Play so many times as fast. */
  function run(speed) {
    if (!jumped()) start(); // what was played until now was so at the speed until now
    video.playbackRate = video.defaultPlaybackRate = speed;
  }

  return { start, run, jumped, last, at };
})();
