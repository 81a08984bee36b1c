// What every part of the page needs to change the document.

export const $ = (id) => document.getElementById(id);

export function element(name, className, ...content) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

// setText leaves the document alone when nothing changed, so that selections
// survive and screen readers are not told twice.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// replace puts other children into a node, unless what is to be read is the same.
export function replace(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...make());
}

// named tells the cells of a row which columns they are of: where it is narrow they say so.
export function named(row, columns) {
  [...row.children].forEach((cell, i) => (cell.dataset.name = columns[i]));
  return row;
}

// facts fills a list of names and values: [name, value, note, bad].
export function facts(list, entries) {
  const shown = entries.filter((entry) => entry);
  replace(list, JSON.stringify(shown), () =>
    shown.map(([name, value, note, bad]) =>
      element("div", "", element("dt", "", name), element("dd", bad ? "bad" : "", value, ...(note ? [element("small", "", note)] : []))),
    ),
  );
}
