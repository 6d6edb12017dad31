// The frame of the page: the token, questions to the server, addresses, keys, and what happens live. views.js has the views.
// The DOM is built from text nodes only: a name of a task is never read as HTML.
'use strict';

const byId = id => document.getElementById(id);
const state = { about: null, view: 0, follow: null, live: null, changed: new Map() };

// The token comes behind the `#`, which no browser sends, and does not stay in the address.
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has('token')) {
  sessionStorage.setItem('larder-token', fragment.get('token'));
  history.replaceState(null, '', location.pathname + '#/functions');
}
const headers = { Authorization: 'Bearer ' + (sessionStorage.getItem('larder-token') ?? '') };

async function ask(question, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const response = await fetch('api/' + question + (query ? '?' + query : ''), { headers });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? response.statusText);
  return answer;
}

function problem(error) {
  byId('problem').hidden = !error;
  byId('problem').textContent = error ? plain(error.message ?? String(error)) : '';
}

const tabs = () => state.about?.kind === 'runtime'
  ? [['functions', 'Functions'], ['tasks', 'Tasks'], ['timeline', 'Timeline'], ['memory', 'Memory']]
  : [['functions', 'Functions'], ['tasks', 'Tasks']];

// An address is `#/VIEW/ARGUMENT?PARAMETERS`.
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/');
  return { view: view || 'functions', argument: decodeURIComponent(rest.join('/')), parameters: new URLSearchParams(query ?? '') };
}

function go(view, argument = '', parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  location.hash = '#/' + view + (argument ? '/' + encodeURIComponent(argument) : '') + (query ? '?' + query : '');
}

async function show() {
  const { view, argument, parameters } = place();
  const number = ++state.view;
  state.follow?.();
  state.follow = null;
  problem(null);
  byId('tabs').replaceChildren(...tabs().map(([name, title]) => {
    const link = el('a', { href: '#/' + name }, title);
    if (name === view) link.setAttribute('aria-current', 'page');
    return link;
  }));
  document.title = 'Larder · ' + view;
  const make = views[view] ?? views.functions;
  try {
    const made = await make(argument, parameters);
    // A slow answer to an earlier click does not replace a later one.
    if (number !== state.view) return;
    byId('view').replaceChildren(...made.nodes);
    byId('view').dataset.view = view;
    made.placed?.();
    state.follow = made.leave ?? null;
    state.live = made.live ?? null;
  } catch (error) {
    if (number === state.view) problem(error);
  }
}

// Server-sent events, read by fetch: an EventSource cannot send the token.
async function follow() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 10000)) {
    try {
      const response = await fetch('api/live', { headers });
      if (!response.ok) throw new Error(response.statusText);
      byId('live').textContent = 'live';
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ''; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        pause = 500;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const data = text.slice(0, end).split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6)).join('\n');
          if (data) happened(JSON.parse(data));
        }
      }
    } catch { /* Tried again below. */ }
    byId('live').textContent = 'not connected';
    await new Promise(resolve => setTimeout(resolve, pause));
  }
}

function happened(message) {
  byId('live').textContent = 'live · ' + count(message.events);
  byId('live').dataset.events = message.events;
  state.live?.(message);
}

function select(step) {
  const rows = [...document.querySelectorAll('tbody tr.opens')];
  if (!rows.length) return;
  const now = rows.findIndex(row => row.getAttribute('aria-selected') === 'true');
  const next = Math.max(0, Math.min(rows.length - 1, now < 0 ? 0 : now + step));
  rows[now]?.removeAttribute('aria-selected');
  rows[next].setAttribute('aria-selected', 'true');
  rows[next].scrollIntoView({ block: 'nearest' });
}

const keys = [
  ['/', 'search', () => byId('search').focus()],
  ['j', 'next row', () => select(1)],
  ['k', 'row before', () => select(-1)],
  ['Enter', 'open the row', () => document.querySelector('tr[aria-selected="true"]')?.click()],
  ['1', 'functions', () => go('functions')],
  ['2', 'tasks', () => go('tasks')],
  ['3', 'timeline', () => state.about?.kind === 'runtime' && go('timeline')],
  ['4', 'memory', () => state.about?.kind === 'runtime' && go('memory')],
  ['n', 'next page', () => document.querySelector('button.next')?.click()],
  ['e', 'explain this task', () => document.querySelector('button.explain')?.click()],
  ['r', 'copy the store anew', () => byId('reload').hidden || byId('reload').click()],
  ['t', 'dark or light', () => byId('theme').click()],
  ['Backspace', 'back', () => history.back()],
  ['?', 'these keys', () => byId('keys').showModal()],
];
const names = { ArrowDown: 'j', ArrowUp: 'k' };

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('input, select')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  // Enter and space belong to a link or a button that has the focus.
  if (event.key === 'Enter' && event.target.matches('a, button')) return;
  const key = keys.find(([key]) => key === (names[event.key] ?? event.key));
  if (key) { event.preventDefault(); key[2](); }
});

byId('search').addEventListener('keydown', event => {
  if (event.key === 'Enter') {
    go('tasks', '', { text: event.target.value });
    event.target.blur();
  }
});
byId('theme').addEventListener('click', () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'light' : 'dark';
  localStorage.setItem('larder-theme', document.documentElement.dataset.theme);
  show();
});
byId('help').addEventListener('click', () => byId('keys').showModal());
byId('reload').addEventListener('click', () => ask('reload').then(about => { named(about); show(); }, problem));
byId('keys').append(el('h2', {}, 'Keys'), el('table', {}, el('tbody', {}, ...keys.map(([key, what]) =>
  el('tr', {}, el('td', {}, el('code', {}, key)), el('td', {}, what))))), el('p', { class: 'soft' }, 'Escape closes this.'));

function named(about) {
  state.about = about;
  byId('name').textContent = plain(about.kind === 'store' ? about.name + ' · run ' + about.run : about.name);
  byId('reload').hidden = about.kind !== 'store';
}

async function start() {
  const theme = localStorage.getItem('larder-theme');
  if (theme) document.documentElement.dataset.theme = theme;
  try {
    named(await ask('about'));
  } catch (error) {
    return problem(error);
  }
  window.addEventListener('hashchange', show);
  await show();
  if (state.about.kind === 'runtime') follow();
}
start();
