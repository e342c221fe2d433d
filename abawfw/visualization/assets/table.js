/* Makes tables sortable and their rows selectable and searchable, and saves them as CSV. */
'use strict';
(() => {
  function valueOf(row, index, numbers) {
    const value = row.cells[index].dataset.value;
    return value === undefined ? null : numbers ? Number(value) : value;
  }

  function headsOf(table) {
    return [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  }

  /* Sort the rows of a table; what is missing comes last both ways, and equal rows keep their order. */
  function sort(table, index, downwards) {
    const heads = headsOf(table);
    const numbers = heads[index].classList.contains('number');
    const order = numbers ? (a, b) => a - b : (a, b) => a.localeCompare(b, undefined, { numeric: true });
    const pairs = [...table.tBodies[0].rows].map((row) => [valueOf(row, index, numbers), row]);
    pairs.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return downwards ? order(b, a) : order(a, b);
    });
    table.tBodies[0].append(...pairs.map(([, row]) => row));
    heads.forEach((head, i) => head.setAttribute('aria-sort', i !== index ? 'none' : downwards ? 'descending' : 'ascending'));
  }

  /* Mark a row and tell the table's listeners which one it is; a promise that all of them are done. */
  abawfw.choose = (row, byUser) => {
    const table = row.closest('table');
    table.querySelectorAll('tr[aria-current]').forEach((other) => other.removeAttribute('aria-current'));
    row.setAttribute('aria-current', 'true');
    const detail = { key: row.dataset.key, byUser, done: [] };
    table.dispatchEvent(new CustomEvent('row-chosen', { detail }));
    return Promise.all(detail.done);
  };

  /* Show the rows whose key holds the text, in capitals or not, and say how many. */
  function search(table, text, status) {
    const rows = [...table.querySelectorAll('tr[data-key]')];
    const wanted = text.trim().toLocaleLowerCase();
    rows.forEach((row) => { row.hidden = !row.dataset.key.toLocaleLowerCase().includes(wanted); });
    const found = rows.filter((row) => !row.hidden);
    status.textContent = wanted ? `${found.length} of ${rows.length}` : '';
    return found;
  }

  /* All rows in the order of the page, with all digits, as RFC 4180 has it. */
  function csv(table) {
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const heads = headsOf(table).map((head) => head.dataset.name);
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.dataset.value ?? ''));
    return [heads, ...rows].map((row) => row.map(quoted).join(',') + '\r\n').join('');
  }

  function save(table) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([csv(table)], { type: 'text/csv' }));
    link.download = `${document.title} ${table.caption.textContent}`.replace(/[^\p{L}\p{N}.-]+/gu, '_').slice(0, 100) + '.csv';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function nextShown(row, way) {
    let next = row[way];
    while (next && next.hidden) next = next[way];
    return next;
  }

  function listen(table) {
    headsOf(table).forEach((head, index) => {
      head.querySelector('button').addEventListener('click', () => {
        const now = head.getAttribute('aria-sort');
        sort(table, index, now === 'none' ? head.classList.contains('number') : now === 'ascending');
      });
    });
    const body = table.tBodies[0];
    body.addEventListener('click', (event) => {
      const row = event.target.closest('tr[data-key]');
      if (row) abawfw.choose(row, true);
    });
    body.addEventListener('keydown', (event) => {
      const row = event.target.closest('tr[data-key]');
      const way = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
      if (!row) return;
      if (event.key === 'Enter' || event.key === ' ') abawfw.choose(row, true);
      else if (way && nextShown(row, way)) nextShown(row, way).focus();
      else return;
      event.preventDefault();
    });
    const tools = table.closest('.table').querySelector('.tools');
    tools.querySelector('.csv').addEventListener('click', () => save(table));
    const box = tools.querySelector('input');
    if (!box) return;
    const status = tools.querySelector('[role=status]');
    box.addEventListener('input', () => search(table, box.value, status));
    box.addEventListener('keydown', (event) => {
      const [first] = event.key === 'Enter' ? search(table, box.value, status) : [];
      if (first) abawfw.choose(first, true);
    });
  }

  document.querySelectorAll('table').forEach(listen);
})();
