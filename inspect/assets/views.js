// The views, each of which returns its nodes.
'use strict';

// Makes an element. Children are nodes, or texts, which become text nodes.
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

// Names as they are: control characters, and those that turn the direction of text, are written out.
const plain = text => String(text ?? '').replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
  character => '\\u{' + character.codePointAt(0).toString(16) + '}');
const count = number => number === undefined || number === null ? '' : Number(number).toLocaleString('en');
const many = (number, one, several) => count(number) + ' ' + (number === 1 ? one : several);
function size(bytes) {
  if (bytes === undefined || bytes === null) return '';
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (bytes < 1024) return unit === 'B' ? bytes + ' B' : bytes.toFixed(1) + ' ' + unit;
    bytes /= 1024;
  }
  return bytes.toFixed(1) + ' TiB';
}
function time(nanoseconds) {
  if (nanoseconds === undefined || nanoseconds === null) return '';
  for (const [unit, most] of [['ns', 1e3], ['µs', 1e6], ['ms', 1e9]]) {
    if (nanoseconds < most) return (nanoseconds / (most / 1e3)).toFixed(unit === 'ns' ? 0 : 1) + ' ' + unit;
  }
  return (nanoseconds / 1e9).toFixed(2) + ' s';
}
const share = (part, all) => all ? (100 * part / all).toFixed(1) + ' %' : '';
const last = path => String(path ?? '').split('::').pop();
const mark = name => el('span', { class: 'state ' + String(name).replace(/ /g, '-') }, name);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const colours = { valid: 'valid', verified: 'valid', restored: 'valid', settled: 'valid', stale: 'stale', may: 'stale', new: 'ran', changed: 'ran', ran: 'ran',
  failed: 'ran', cancelled: 'ran', 'cut off': 'cut', held: 'cut', leaf: 'leaf', missing: 'missing', group: 'group', current: 'valid', running: 'ran' };
// What a node is coloured by: what was told of it, or else how its value is.
const stateOf = node => node.state === 'not told' ? node.value : node.state ?? 'group';

// A table: columns are [title, cell of a row, 'number' or nothing, what it is sorted by].
function table(columns, rows, open) {
  const body = el('tbody');
  let by = null;
  const fill = () => {
    const sorted = by ? [...rows].sort((a, b) => {
      const [x, y] = [by.key(a) ?? 0, by.key(b) ?? 0];
      return (x < y ? -1 : x > y ? 1 : 0) * by.sign;
    }) : rows;
    body.replaceChildren(...sorted.map(row => el('tr', open ? { class: 'opens', onclick: () => open(row) } : {},
      ...columns.map(([, cell, kind]) => el('td', { class: kind === 'number' ? 'number' : undefined }, cell(row))))));
  };
  fill();
  const head = columns.map(([title, , kind, key]) => el('th', {
    class: (kind === 'number' ? 'number ' : '') + (key ? 'sorts' : ''),
    onclick: key && (() => { by = { key, sign: by?.key === key ? -by.sign : (kind === 'number' ? -1 : 1) }; fill(); }),
  }, title));
  const made = el('table', {}, el('thead', {}, el('tr', {}, ...head)), body);
  made.renew = next => { rows = next; fill(); };
  return made;
}

const call = task => el('code', {}, plain(last(task.function)), '(' + plain(task.arguments) + ')');
const link = task => task.id && task.stored !== false
  ? el('a', { href: '#/task/' + encodeURIComponent(task.id), title: plain(task.function) }, call(task)) : el('span', {}, call(task), ' (not stored)');
const leafName = leaf => el('a', { href: '#/task/' + leaf.key, class: 'code' }, plain(leaf.kind) + ' ' + plain(leaf.name));

const storeColumns = [
  ['Function', of => el('code', {}, plain(of.path)), '', of => of.path],
  ['Tasks', of => count(of.tasks), 'number', of => of.tasks],
  ['Stale', of => count(of.stale), 'number', of => of.stale],
  ['Traces', of => count(of.traces), 'number', of => of.traces],
  ['Bytes', of => size(of.bytes), 'number', of => of.bytes],
  ['Stored by run', of => count(of.oldest_run), 'number', of => of.oldest_run],
  ['Used by run', of => count(of.last_used_run), 'number', of => of.last_used_run],
];
// Calls that no body ran for. A call of a stale task finds it in the table, and may run its body all the same.
const hits = of => Math.max(0, of.calls - of.runs);
const runtimeColumns = [
  ['Function', of => el('code', {}, plain(of.path)), '', of => of.path],
  ['Calls', of => count(of.calls), 'number', of => of.calls],
  ['Hits', of => share(hits(of), of.calls), 'number', of => of.calls ? hits(of) / of.calls : 0],
  ['By thread', of => count(of.thread_hits), 'number', of => of.thread_hits],
  ['By table', of => count(of.memory_hits), 'number', of => of.memory_hits],
  ['By store', of => count(of.storage_hits), 'number', of => of.storage_hits],
  ['Runs', of => count(of.runs), 'number', of => of.runs],
  ['Verified', of => count(of.verified), 'number', of => of.verified],
  ['Cut off', of => count(of.cut_off), 'number', of => of.cut_off],
  ['Failed', of => count(of.failed), 'number', of => of.failed],
  ['Time', of => time(of.time_ns), 'number', of => of.time_ns],
  ['A run', of => of.runs ? time(of.time_ns / of.runs) : '', 'number', of => of.runs ? of.time_ns / of.runs : 0],
];

// Calls `work` at most once in `pause` milliseconds, and always once more after the last call.
function paced(pause, work) {
  let timer = null, again = false;
  const run = async () => {
    again = false;
    await work().catch(problem);
    timer = setTimeout(() => { timer = null; if (again) { timer = 1; run(); } }, pause);
  };
  return { call() { again = true; if (timer === null) { timer = 1; run(); } }, stop() { clearTimeout(timer); again = false; } };
}

const views = {
  async functions() {
    const runtime = state.about.kind === 'runtime';
    let answer = await ask('functions');
    const open = of => go('tasks', '', { function: of.path });
    const list = table(runtime ? runtimeColumns : storeColumns, answer.functions, open);
    const note = el('p', { class: 'soft', id: 'summary' });
    const tell = () => {
      note.textContent = answer.error ? plain(answer.error)
        : runtime ? count(answer.tasks) + ' tasks in memory'
        : answer.ready ? count(answer.tasks) + ' tasks, ' + size(answer.record_bytes) + ' of records' + (answer.damaged_records ? ', ' + count(answer.damaged_records) + ' damaged' : '')
        : 'Counting …';
    };
    const renew = async () => { answer = await ask('functions'); list.renew(answer.functions); tell(); };
    const pace = paced(500, renew);
    let timer = null, wait = 200;
    const poll = () => { if (!answer.ready) timer = setTimeout(() => renew().then(poll, problem), wait = Math.min(wait * 2, 2000)); };
    tell();
    return { nodes: [el('h1', {}, 'Functions'), note, list], placed: poll, live: () => pace.call(), leave: () => { clearTimeout(timer); pace.stop(); } };
  },

  async tasks(_, parameters) {
    const runtime = state.about.kind === 'runtime';
    const asked = Object.fromEntries(parameters);
    byId('search').value = asked.text ?? '';
    let rows = [], next = null, looked = 0;
    const list = table([
      ['State', of => mark(of.state), '', of => of.state],
      ['Task', of => el('code', { title: plain(of.function) }, plain(last(of.function)) + '(' + plain(of.arguments) + ')'), '', of => of.function],
      ...(runtime ? [['Because', of => plain(of.because), '', of => of.because], ['Time', of => time(of.time_ns), 'number', of => of.time_ns]]
        : [['Reads', of => count(of.reads), 'number', of => of.reads], ['Output', of => size(of.bytes), 'number', of => of.bytes]]),
    ], rows, of => go('task', of.id));
    const note = el('p', { class: 'soft', id: 'summary' });
    const more = el('button', { type: 'button', class: 'next', title: 'n', onclick: () => fetchMore().catch(problem) }, 'More');
    // An answer looks at a part of a large store: a search that has found nothing yet goes on by itself.
    let gone = false;
    const fetchMore = async () => {
      const before = rows.length;
      do {
        const answer = await ask('tasks', { ...asked, ...(next ? { after: next } : {}) });
        rows = rows.concat(answer.tasks);
        looked += answer.looked_at ?? 0;
        next = answer.next;
        list.renew(rows);
        note.textContent = count(rows.length) + (rows.length === 1 ? ' task' : ' tasks') + (next ? ' so far' + (looked ? '; ' + count(looked) + ' looked at' : '') : '')
          + (answer.forgotten ? '; ' + count(answer.forgotten) + ' older ones are not kept' : '');
        more.hidden = !next;
      } while (next && !gone && rows.length - before < 25);
    };
    const found = el('div', { id: 'sources' });
    if (asked.text && !runtime) {
      const { sources, cut } = await ask('sources', { text: asked.text });
      if (sources.length) {
        found.append(el('h2', {}, 'Sources and inputs' + (cut ? ' (some)' : '')), table([['Name', leaf => leafName(leaf)]], sources, leaf => go('task', leaf.key)));
      }
    }
    const renew = async () => { rows = []; next = null; looked = 0; await fetchMore(); };
    const pace = paced(500, renew);
    const first = fetchMore();
    if (!asked.text && !asked.function) await first; else first.catch(problem);
    const title = 'Tasks' + (asked.function ? ' of ' + asked.function : '') + (asked.text ? ' with “' + asked.text + '”' : '');
    return { nodes: [el('h1', {}, plain(title)), note, list, el('div', { class: 'bar' }, more), found],
      live: () => pace.call(), leave: () => { gone = true; pace.stop(); } };
  },

  async task(id) {
    const task = await ask('task', { id });
    const runtime = state.about.kind === 'runtime';
    const why = el('div', { id: 'explanation' });
    const around = el('div', { class: 'graph', id: 'graph', role: 'img', 'aria-label': 'Tasks around this one' });
    const depth = el('select', { 'aria-label': 'Steps', onchange: () => draw().catch(problem) }, ...[1, 2, 3, 4].map(n => el('option', { value: n }, n + (n === 1 ? ' step' : ' steps'))));
    const note = el('span', { class: 'soft' });
    let graph = null, explained = null, shownId = task.id ?? task.leaf?.key;
    const draw = async () => {
      const answer = await ask('graph', { id: shownId, depth: depth.value });
      graph?.destroy();
      graph = drawGraph(around, answer, explained);
      note.textContent = many(answer.nodes.length, 'node', 'nodes') + (!runtime ? '' : answer.in_memory ? ': all that it reads and that reads it; thick: what made its reader run'
        : ': it is not in memory; what made it run, and what it made run') + (answer.partial ? '; reads of some are known when they are current' : '') + (answer.cut ? ', cut' : '');
      around.dataset.nodes = answer.nodes.length;
      around.dataset.reasons = answer.reasons?.length ?? 0;
    };
    const explain = async () => {
      const answer = await ask('explain', { id: shownId });
      explained = answer;
      why.replaceChildren(...explanation(answer));
      if (graph) paint(graph, answer);
    };
    const facts = (task.leaf ? [['Kind', task.leaf.kind], ['Fingerprint', task.leaf.fingerprint], ['Key', task.leaf.key]]
      : runtime ? [['State', mark(task.state)], ['Because', plain(task.because)], ['Time', time(task.time_ns)], ['Value', task.in_memory ? task.value : 'not in memory'], ['Told', count(task.told) + (task.told === 1 ? ' event' : ' events')]]
      : [['State', mark(task.stale ? 'stale' : 'valid')], ['Stored by run', count(task.run)], ['Used by run', count(task.used_by_run)],
        ['Output', size(task.output_bytes) + (task.output_is_there ? '' : ', missing')], ['Older traces', count(task.older_traces.length)],
        ['Code', task.code + (task.lossy ? ', lossy' : '')], ['Fingerprint', task.fingerprint], ['Id', task.id]]);
    const title = task.leaf ? el('code', {}, plain(task.leaf.kind + ' ' + task.leaf.name)) : call(task);
    const text = el('div', {}, el('h1', {}, title), task.leaf ? '' : el('p', { class: 'soft code' }, plain(task.function)),
      el('table', { id: 'facts' }, el('tbody', {}, ...facts.map(([name, value]) => el('tr', {}, el('th', {}, name), el('td', { class: 'code' }, value))))),
      task.leaf ? '' : el('div', { class: 'bar' }, el('button', { type: 'button', class: 'explain', title: 'e', onclick: () => explain().catch(problem) }, runtime ? 'Why did it run?' : 'Would it run?')), why);
    const without = { 'not now': 'Reads (known when it is current, or no session is open)', stored: 'Reads (the store has them)' }[task.reads_known];
    const lists = runtime && !task.in_memory ? [] : [
      ...(task.leaf || task.kind === 'leaf' ? [] : [paged(without ?? 'Reads', 'reads', task, shownId, read => runtime ? link(read) : read.leaf ? leafName(read.leaf) : link(read.task))]),
      paged('Read by', 'dependents', task, shownId, of => link(of)),
    ];
    return {
      nodes: [el('div', { class: 'columns' }, text, el('div', {}, el('div', { class: 'bar' }, depth, note), around)), ...(lists.length ? [el('div', { class: 'columns' }, ...lists)] : [])],
      placed: () => draw().catch(problem),
      live: message => { for (const of of message.tasks) graph?.getElementById(of.id).data({ state: of.state, colour: colour(colours[of.state] ?? 'missing') }); },
      leave: () => graph?.destroy(),
    };
  },

  async timeline() {
    const lanes = el('div', { id: 'lanes' });
    const note = el('p', { class: 'soft' });
    const renew = async () => {
      const { rows, now_ms } = await ask('timeline');
      const begin = Math.min(now_ms - 1, ...rows.map(row => row.start_ms)), width = now_ms - begin;
      const byThread = Map.groupBy ? Map.groupBy(rows, row => row.thread) : rows.reduce((map, row) => map.set(row.thread, [...(map.get(row.thread) ?? []), row]), new Map());
      note.textContent = count(rows.length) + ' sessions, updates, waits and batches in the last ' + (width / 1000).toFixed(1) + ' s. Blue: session; red: update; orange: wait at the gate; violet: batch of the store.';
      lanes.replaceChildren(...[...byThread].map(([thread, of]) => {
        const lane = el('div', { class: 'lane' }, ...of.map(row => {
          const bar = el('span', { class: row.kind, title: plain(row.text) + ', ' + (row.end_ms - row.start_ms).toFixed(2) + ' ms' });
          bar.style.left = (100 * (row.start_ms - begin) / width) + '%';
          bar.style.width = (100 * (row.end_ms - row.start_ms) / width) + '%';
          return bar;
        }), el('b', {}, plain(thread)));
        return lane;
      }), table([['Kind', row => row.kind], ['Thread', row => plain(row.thread)], ['Told', row => plain(row.text)], ['Took', row => (row.end_ms - row.start_ms).toFixed(2) + ' ms', 'number', row => row.end_ms - row.start_ms]],
        rows.slice(-200).reverse()));
    };
    const pace = paced(1000, renew);
    await renew();
    return { nodes: [el('h1', {}, 'Sessions and updates'), note, lanes], live: () => pace.call(), leave: () => pace.stop() };
  },

  async memory() {
    const chart = el('div', { id: 'chart' });
    const note = el('p', { class: 'soft' });
    let plot = null;
    const list = table([['Function', of => el('code', {}, plain(of.path))], ['Tasks', of => count(of.tasks), 'number', of => of.tasks], ['Bytes', of => size(of.bytes.at(-1)), 'number', of => of.bytes.at(-1)]], []);
    const palette = ['leaf', 'ran', 'valid', 'stale', 'group', 'cut', 'missing', 'fore'];
    const renew = async () => {
      const { times, functions, bytes } = await ask('memory');
      list.renew(functions);
      note.textContent = times.length ? size(bytes.at(-1)) + ' in all' : 'Nothing was measured yet.';
      plot?.destroy();
      const shown = functions.slice(0, palette.length);
      const axis = { stroke: colour('soft'), grid: { stroke: colour('line') }, ticks: { stroke: colour('line') } };
      plot = new uPlot({
        width: Math.max(320, chart.clientWidth), height: 300, scales: { x: { time: false } },
        series: [{ label: 's' }, ...shown.map((of, n) => ({ label: plain(last(of.path)), stroke: colour(palette[n]), width: 2, value: (_, value) => size(value ?? 0) }))],
        axes: [{ ...axis, values: (_, values) => values.map(value => value + ' s') }, { ...axis, size: 80, values: (_, values) => values.map(size) }],
      }, [times, ...shown.map(of => of.bytes)], chart);
    };
    const pace = paced(1000, renew);
    return { nodes: [el('h1', {}, 'Memory by function'), note, chart, list], placed: () => renew().catch(problem), live: () => pace.call(), leave: () => { pace.stop(); plot?.destroy(); } };
  },
};

// A list of a task, page by page.
function paged(title, field, task, id, cell) {
  const body = el('tbody'), limit = 50;
  // Where the pages begin that were shown, and the next one. A program says itself where that is: some places are of readers that read it no more.
  let starts = [0], next = null;
  const note = el('span', { class: 'soft' });
  const turn = async () => fill(await ask('task', { id, from: starts.at(-1), limit }));
  const back = el('button', { type: 'button', onclick: () => { starts.pop(); turn().catch(problem); } }, 'Before');
  const on = el('button', { type: 'button', class: 'on', onclick: () => { starts.push(next); turn().catch(problem); } }, 'Next');
  const fill = answer => {
    const rows = (answer[field] ?? []).slice(0, limit), all = answer[field + '_in_all'] ?? 0, from = starts.at(-1);
    const end = from + rows.length;
    next = answer[field + '_next'] === undefined ? (end < all ? end : null) : answer[field + '_next'];
    body.replaceChildren(...rows.map(row => el('tr', {}, el('td', {}, cell(row)))));
    note.textContent = all ? count(from + 1) + ' to ' + count(end) + ' of ' + count(all) : 'none';
    back.hidden = starts.length === 1;
    on.hidden = next === null;
  };
  fill(task);
  return el('section', { class: field }, el('h2', {}, title), el('div', { class: 'bar' }, note, back, on), el('table', {}, body));
}

const verdicts = { valid: 'Nothing below it differs: it is used as it is.', runs: 'Its body runs: it has read what differs now.',
  'may run': 'Its body runs if a task that it has read runs and returns another value.' };

function explanation(answer) {
  if (answer.steps) return [el('ol', { class: 'chain' }, ...answer.steps.map(step => el('li', {}, step.id ? link(step) : el('code', {}, plain(step.name)), ' ', plain(step.text))))];
  const what = found => found.leaf ? leafName(found.leaf) : found.task ? link(found.task) : el('code', {}, plain(found.key));
  return [
    el('p', { 'data-verdict': answer.verdict }, mark(answer.verdict === 'valid' ? 'valid' : answer.verdict === 'runs' ? 'ran' : 'may'), ' ', verdicts[answer.verdict] ?? '',
      ' ' + many(answer.visited, 'task', 'tasks') + ' and ' + many(answer.leaves, 'leaf', 'leaves') + ' looked at' + (answer.complete ? '.' : '; not all.')),
    ...answer.differences.map(found => el('div', {}, what(found), found.recorded ? el('span', { class: 'code' }, ': ' + found.recorded.slice(0, 12) + ' was read, it is ' + found.now.slice(0, 12)) : ' is not stored any more',
      el('ol', { class: 'chain' }, ...[...found.chain].reverse().map(task => el('li', {}, link(task)))))),
    answer.differences.length ? el('p', { class: 'soft' }, count(answer.would_run_in_all) + ' would run, ' + count(answer.may_run_in_all) + ' above may run') : '',
    ...lastRun(answer.last_run),
  ];
}

// Why a stored task has run last, down to the source that had changed.
function lastRun(run) {
  if (!run?.steps.length) return [];
  const step = of => el('li', {}, of.task ? link(of.task) : el('code', {}, plain(of.key)), ' ', of.why === 'first' ? 'first run' : plain(of.why.replace(/_/g, ' ')),
    of.position === undefined ? '' : el('span', { class: 'code' }, ': read ' + of.position + ' was ' + of.before.slice(0, 12) + ', then ' + of.after.slice(0, 12)));
  return [el('h2', {}, 'Why it ran last'), el('ol', { class: 'chain', id: 'last-run' }, ...run.steps.map(step),
    run.leaf ? el('li', {}, leafName(run.leaf)) : '')];
}

function drawGraph(container, answer, explained) {
  const idOf = (node, at) => node.id ?? 'group ' + at;
  const elements = answer.nodes.map((node, at) => ({ data: {
    id: idOf(node, at), kind: node.kind, of: node.of, function: node.function, state: stateOf(node),
    label: node.kind === 'group' ? '+ ' + count(node.count) + ' ' + plain(last(node.function)) : plain(last(node.function)) + '\n' + plain(node.arguments).slice(0, 34),
    colour: colour(colours[stateOf(node)] ?? 'missing'), root: node.id === answer.root ? 1 : 0,
  } }));
  const reasons = new Set(answer.reasons);
  for (const [at, [reader, read]] of answer.edges.entries()) {
    elements.push({ data: { source: idOf(answer.nodes[reader], reader), target: idOf(answer.nodes[read], read), reason: reasons.has(at) ? 1 : 0 } });
  }
  const graph = cytoscape({
    container, elements, minZoom: 0.1, maxZoom: 1.6,
    layout: { name: 'breadthfirst', directed: true, roots: tops(answer).map(at => idOf(answer.nodes[at], at)), spacingFactor: 1.1 },
    style: [
      { selector: 'node', style: { 'background-color': 'data(colour)', label: 'data(label)', color: colour('fore'), 'font-size': 9, 'text-wrap': 'wrap', 'text-valign': 'bottom', 'text-margin-y': 3, 'text-background-color': colour('back'), 'text-background-opacity': 0.85, width: 18, height: 18 } },
      { selector: 'node[kind = "leaf"]', style: { shape: 'diamond' } },
      { selector: 'node[kind = "group"]', style: { shape: 'round-rectangle', width: 30 } },
      { selector: 'node[root = 1]', style: { 'border-width': 3, 'border-color': colour('fore') } },
      { selector: 'edge', style: { width: 1, 'line-color': colour('soft'), 'target-arrow-color': colour('soft'), 'target-arrow-shape': 'triangle', 'curve-style': 'bezier', 'arrow-scale': 0.7 } },
      { selector: 'edge[reason = 1]', style: { width: 3, 'line-color': colour('ran'), 'target-arrow-color': colour('ran') } },
    ],
  });
  graph.on('tap', 'node', event => {
    const node = event.target.data();
    if (node.kind !== 'group') go('task', node.id);
    else if (node.of !== answer.root) go('task', node.of);
    else document.querySelector('section')?.scrollIntoView();
  });
  if (explained) paint(graph, explained);
  container.graph = graph;
  return graph;
}

// The nodes that nothing in the picture has read.
function tops(answer) {
  const read = new Set(answer.edges.map(([, read]) => read));
  return answer.nodes.map((_, at) => at).filter(at => !read.has(at));
}

// Colours what an explanation says of the nodes.
function paint(graph, answer) {
  for (const [tasks, name] of [[answer.may_run, 'may'], [answer.would_run, 'ran']]) {
    for (const task of tasks ?? []) graph.getElementById(task.id).data('colour', colour(colours[name]));
  }
}
