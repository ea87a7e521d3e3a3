/**
 * The report's only script: a click on a column's name sorts the rows by it, a second click the other way round. Without
 * it the tables are as they were written.
 */
export const SORTING = `
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.querySelectorAll('th[scope=col]')];
  const names = heads.filter((head) => head.rowSpan > 1 || table.tHead.rows.length === 1 || head.parentNode !== table.tHead.rows[0]);
  names.sort((a, b) => (b.rowSpan > 1) - (a.rowSpan > 1));
  names.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute('aria-sort') !== 'descending';
      for (const other of names) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const of = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [of(a), of(b)];
        const [p, q] = [parseFloat(x), parseFloat(y)];
        if (isNaN(p) !== isNaN(q)) return isNaN(p) ? 1 : -1;
        const order = isNaN(p) ? x.localeCompare(y) : p - q;
        return down ? -order : order;
      });
      body.append(...rows);
    };
  });
}
`;
