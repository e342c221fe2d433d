/* Draws the figures one after the other, and makes tables sortable and their rows selectable. */
'use strict';
const abawfw = (() => {
  const axis = {
    gridcolor: '#e4e7eb', zerolinecolor: '#c3cad2', linecolor: '#c3cad2', automargin: true,
    title: { standoff: 8, font: { size: 13 } }, tickfont: { size: 12 },
  };
  const template = {
    layout: {
      font: { family: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif', size: 13, color: '#1f2933' },
      paper_bgcolor: '#fff', colorway: ['#2563a8', '#c0392b', '#2a7f62', '#b06c00', '#6b4fa0', '#00798c', '#a23b72', '#5c6b73'],
      plot_bgcolor: '#fff', xaxis: axis, yaxis: axis, hovermode: 'closest',
      margin: { l: 54, r: 14, t: 26, b: 46 }, title: { x: 0, xref: 'paper', xanchor: 'left', font: { size: 14 } },
      legend: { orientation: 'h', x: 0, y: 1, yanchor: 'bottom', font: { size: 12 } },
      hoverlabel: { bgcolor: '#fff', bordercolor: '#c3cad2', font: { size: 12, color: '#1f2933' } },
    },
    data: { heatmap: [{ colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11 } } }] },
  };
  const config = {
    showSendToCloud: false, plotlyServerURL: '', // nothing leaves this page
    responsive: true, displaylogo: false, doubleClick: 'reset',
    modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'],
  };

  /* Draw a figure in a node; a promise that is kept when it stands. */
  function draw(node, figure) {
    return Plotly.react(node, figure.data, { ...figure.layout, template }, config);
  }

  function valueOf(row, index, numbers) {
    const value = row.cells[index].dataset.value;
    return value === undefined ? null : numbers ? Number(value) : value;
  }

  /* Sort the rows of a table; what is missing comes last both ways, and equal rows keep their order. */
  function sort(table, index, downwards) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
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

  /* Mark a row and tell the table's listeners which one it is. */
  function choose(row, byUser) {
    const table = row.closest('table');
    table.querySelectorAll('tr[aria-current]').forEach((other) => other.removeAttribute('aria-current'));
    row.setAttribute('aria-current', 'true');
    table.dispatchEvent(new CustomEvent('row-chosen', { detail: { key: row.dataset.key, byUser } }));
  }

  function listen(table) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, index) => {
      head.querySelector('button').addEventListener('click', () => {
        const now = head.getAttribute('aria-sort');
        sort(table, index, now === 'none' ? head.classList.contains('number') : now === 'ascending');
      });
    });
    const body = table.tBodies[0];
    body.addEventListener('click', (event) => {
      const row = event.target.closest('tr[data-key]');
      if (row) choose(row, true);
    });
    body.addEventListener('keydown', (event) => {
      const row = event.target.closest('tr[data-key]');
      if (!row) return;
      const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
      if (event.key === 'Enter' || event.key === ' ') choose(row, true);
      else if (next) next.focus();
      else return;
      event.preventDefault();
    });
  }

  async function start() {
    document.querySelectorAll('table').forEach(listen);
    for (const script of document.querySelectorAll('script[data-figure]')) {
      await draw(document.getElementById(script.dataset.figure), JSON.parse(script.textContent));
      await new Promise((next) => setTimeout(next)); // the page answers between two figures
    }
    document.querySelectorAll('[data-first-table]').forEach((place) => {
      const row = document.querySelector(`#${place.dataset.firstTable} tr[data-key]`);
      if (row) choose(row, false);
    });
    document.documentElement.dataset.drawn = 'true';
  }

  document.addEventListener('DOMContentLoaded', start);
  return { draw };
})();
