/* Pointer, arrow keys and gamepad: what they say of the rating, and what they ask of the page. */
'use strict';
const input = (() => {
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  const held = new Map(); // arrow keys that are down, with the time since which they have moved the rating
  let slow = false; // whether Shift is down beside an arrow
  let gamepad = null; // index of the one that moves the rating
  let pressed = []; // its buttons, when last looked at

  /* Listen; `page` has the targets that are rated, their value, and move, play, seek, undo, say and lost. */
  function listen(page, area, position) {
    /* What two axes say of the targets; of a single one it is `alone`. */
    function both(x, y, alone) {
      const [first, second] = page.targets();
      return second ? { [first]: x, [second]: y } : { [first]: alone };
    }

    function onPointer(event) {
      if (gamepad !== null && event.type !== 'pointerdown') return;
      if (!event.isPrimary) return;
      gamepad = null;
      const box = area.getBoundingClientRect();
      const all = event.getCoalescedEvents?.() ?? [];
      for (const { clientX, clientY, timeStamp } of all.length ? all : [event]) {
        const [x, y] = [((clientX - box.left) / box.width) * 2 - 1, 1 - ((clientY - box.top) / box.height) * 2];
        page.move(both(x, y, x), timeStamp);
      }
    }

    function step([x, y], size, wall) {
      gamepad = null;
      const change = Object.entries(both(x, y, x + y)).map(([target, way]) => [target, page.value[target] + way * size]);
      page.move(Object.fromEntries(change), wall);
    }

    /* An arrow moves the rating by .02 at once, and while it is held by 1 a second. */
    function byKeys(wall) {
      for (const [key, since] of held) {
        if (wall > since) step(ARROWS[key], ((wall - since) / 1000) * (slow ? 0.25 : 1), wall);
        held.set(key, Math.max(wall, since));
      }
    }

    function onKey(event) {
      const on = event.target;
      if (event.ctrlKey || event.metaKey) {
        const way = { z: -1, y: 1 }[event.key];
        if (!way || on.matches('input[type=text]')) return;
        page.undo(way);
      } else if (event.altKey || on.matches('input:not([type=range]), select')) return;
      else if (ARROWS[event.key] && on !== position) {
        slow = event.shiftKey;
        if (!event.repeat) {
          step(ARROWS[event.key], 0.02, performance.now());
          held.set(event.key, performance.now() + 150);
        }
      } else if (event.key === ' ' && !on.matches('button, summary')) {
        if (!event.repeat) page.play('rate');
      } else if (event.key.toLowerCase() === 'w') {
        if (!event.repeat) page.play('watch');
      } else if (event.key === ',' || event.key === '.') page.seek(event.key === ',' ? -5 : 5);
      else return;
      event.preventDefault();
    }

    /* Look at the gamepads, which send no events; whether there is one. */
    function byGamepad(wall) {
      const there = [...(navigator.getGamepads?.() ?? [])].filter((one) => one?.connected);
      if (gamepad !== null && !there.some((one) => one.index === gamepad)) {
        gamepad = null;
        page.lost();
      }
      for (const { index, id, axes, buttons } of there) {
        if (gamepad === null && Math.hypot(axes[0], axes[1]) > 0.3) {
          gamepad = index;
          page.say(`The left stick of ${id} rates now.`);
        }
        const down = buttons.map((button) => button.pressed);
        if (gamepad === index) {
          const [x, y] = [axes[0], -axes[1]];
          page.move(both(x, y, Math.abs(x) > Math.abs(y) ? x : y), wall);
          if (down[0] && !pressed[0]) page.play('rate');
          if (down[1] && !pressed[1]) page.seek(-5);
          pressed = down;
        }
      }
      return there.length > 0;
    }

    area.addEventListener('pointermove', onPointer);
    area.addEventListener('pointerdown', (event) => {
      area.setPointerCapture(event.pointerId);
      onPointer(event);
    });
    document.addEventListener('keydown', onKey);
    /* After a click with the mouse (a key's has detail 0) Space rates again, and does not press that button. */
    document.addEventListener('click', ({ target, detail }) => {
      if (detail > 0) target.closest('button, summary')?.blur();
    });
    document.addEventListener('keyup', ({ key }) => {
      byKeys(performance.now());
      held.delete(key);
    });
    window.addEventListener('blur', () => held.clear());
    /* Called for every image of the screen; whether it has to be called again. */
    return (wall) => {
      byKeys(wall);
      return byGamepad(wall) || held.size > 0;
    };
  }

  return { listen };
})();
