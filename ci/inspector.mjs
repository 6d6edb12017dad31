// Drives the inspector's page in headless Chromium through clicks and keys, and fails if it does not show what it should.
//
//   node ci/inspector.mjs STORE_URL PROGRAM_URL SERVICE_URL SHOP SCREENSHOTS
//
// STORE_URL is the page of census's store; PROGRAM_URL that of the running example, SERVICE_URL that of a service, which itself is at SHOP. The browser is spoken to over its debugging pipe, so
// nothing but Node and Chromium is needed. ci/inspector.sh starts all of them.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [storeUrl, programUrl, serviceUrl, shop, screenshots] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'larder-chromium-'));
const chromium = spawn(process.env.CHROMIUM ?? 'chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
  '--disable-background-networking', '--window-size=1200,760', '--user-data-dir=' + profile, '--remote-debugging-pipe', 'about:blank'],
  { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });

const waiting = new Map(), errors = [];
let last = 0, pending = '', session;
chromium.stdio[4].on('data', bytes => {
  pending += bytes;
  for (let end; (end = pending.indexOf('\0')) >= 0; pending = pending.slice(end + 1)) {
    const message = JSON.parse(pending.slice(0, end));
    if (message.id) waiting.get(message.id)(message);
    else if (message.method === 'Runtime.exceptionThrown') errors.push(message.params.exceptionDetails.exception?.description ?? message.params.exceptionDetails.text);
    else if (message.method === 'Log.entryAdded' && message.params.entry.level === 'error') errors.push(message.params.entry.text + ' ' + (message.params.entry.url ?? ''));
  }
});
function call(method, params = {}) {
  return new Promise((resolve, reject) => {
    const id = ++last;
    waiting.set(id, answer => answer.error ? reject(new Error(method + ': ' + answer.error.message)) : resolve(answer.result));
    chromium.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + '\0');
  });
}
async function value(expression) {
  const { result, exceptionDetails } = await call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}
// Waits until an expression is true. The time is a bound on hanging, and nothing that is measured.
async function until(what, expression) {
  for (let tries = 0; tries < 300; tries++) {
    // While a page is loaded there is nothing to ask yet.
    if (await value(`(() => { try { return ${expression}; } catch { return false; } })()`)) return console.log('inspector: ' + what);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error('the page never shows: ' + what + '\n' + await value('document.body.innerText') + '\n' + errors.join('\n'));
}
// Clicks into the middle of an element, as a mouse does; of a link of several lines into the first one.
async function click(expression) {
  const { x, y } = await value(`(() => { const node = ${expression}; node.scrollIntoView({ block: 'center' }); const box = node.getClientRects()[0];
    return { x: box.x + Math.min(box.width / 2, 60), y: box.y + box.height / 2 }; })()`);
  await clickAt(x, y);
}
async function clickAt(x, y) {
  for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) {
    await call('Input.dispatchMouseEvent', { type, x, y, button: type === 'mouseMoved' ? 'none' : 'left', clickCount: type === 'mouseMoved' ? 0 : 1 });
  }
}
async function key(key, text = key.length === 1 ? key : undefined) {
  const codes = { Enter: 13, Escape: 27, Backspace: 8, ArrowDown: 40 };
  await call('Input.dispatchKeyEvent', { type: 'keyDown', key, text: key === 'Enter' ? '\r' : text, windowsVirtualKeyCode: codes[key] });
  await call('Input.dispatchKeyEvent', { type: 'keyUp', key, windowsVirtualKeyCode: codes[key] });
}
const type = text => call('Input.insertText', { text });
async function shot(name) {
  await new Promise(resolve => setTimeout(resolve, 700));
  const { data } = await call('Page.captureScreenshot', { format: 'png' });
  writeFileSync(join(screenshots, name + '.png'), Buffer.from(data, 'base64'));
}
const row = text => `[...document.querySelectorAll('tbody tr.opens')].find(row => row.innerText.includes(${JSON.stringify(text)}))`;
const says = text => `document.body.innerText.includes(${JSON.stringify(text)})`;

async function store() {
  await call('Page.navigate', { url: storeUrl });
  await until('the functions of the store, counted', `document.getElementById('summary')?.innerText.includes('of records')`);
  await until('the token is not in the address', `!location.href.includes('token')`);
  await shot('store-functions');
  await click(row('::parse_file'));
  await until('the tasks of a function, by a click', `document.querySelector('h1').innerText.includes('::parse_file') && document.querySelectorAll('tbody tr.opens').length > 1`);
  await key('j');
  await key('ArrowDown');
  await until('the second row is chosen, by keys', `[...document.querySelectorAll('tbody tr.opens')].findIndex(row => row.ariaSelected === 'true') === 1`);
  await key('Enter');
  await until('a task with its graph', `Number(document.getElementById('graph')?.dataset.nodes) > 1`);
  await value(`(() => { const depth = document.querySelector('select'); depth.value = 2; depth.dispatchEvent(new Event('change')); })()`);
  await until('more of the graph', `Number(document.getElementById('graph').dataset.nodes) > 3`);
  await key('e');
  await until('the explanation', `document.querySelector('[data-verdict]') !== null && document.querySelectorAll('#last-run li').length > 0`);
  await shot('store-task');
  const before = await value('location.hash');
  const at = await value(`(() => { const of = document.getElementById('graph'), box = of.getBoundingClientRect();
    const node = of.graph.nodes().filter(node => node.data('kind') !== 'group' && node.data('root') === 0)[0].renderedPosition();
    return { x: box.x + node.x, y: box.y + node.y }; })()`);
  await clickAt(at.x, at.y);
  await until('another task, by a click into the graph', `location.hash !== ${JSON.stringify(before)} && Number(document.getElementById('graph')?.dataset.nodes) > 1`);
  await key('Backspace');
  await until('the task before, by Backspace', `location.hash === ${JSON.stringify(before)}`);
  await key('/');
  await type('lib.rs');
  await key('Enter');
  await until('what a search has found', `document.querySelector('h1').innerText.includes('lib.rs') && document.querySelectorAll('#sources a').length > 0 && document.querySelectorAll('tbody tr.opens').length > 1`);
  await click(`document.querySelector('#sources a')`);
  await until('a source with its readers', `${says('Read by')} && document.querySelector('section.dependents tbody tr') !== null`);
  const theme = await value('getComputedStyle(document.body).backgroundColor');
  await key('t');
  await until('the other theme', `getComputedStyle(document.body).backgroundColor !== ${JSON.stringify(theme)}`);
  await key('t');
  await key('?');
  await until('the keys', `document.getElementById('keys').open`);
  await key('Escape');
}

async function program() {
  await call('Page.navigate', { url: programUrl });
  await until('the functions of a program, with hit rates', `${says('Hits')} && ${says('::check')}`);
  await until('events, live', `Number(document.getElementById('live').dataset.events) > 0`);
  const events = await value(`Number(document.getElementById('live').dataset.events)`);
  await until('more events, without a reload', `Number(document.getElementById('live').dataset.events) > ${events}`);
  await shot('program-functions');
  await until('names are text', `!document.querySelector('main img, main script') && ${says('::check')}`);
  await key('2');
  await until('tasks with reasons', `${says('Because')} && ${row('changed')} !== undefined`);
  await until('a hostile name, as text', `${says('<img src=x onerror=')} && !document.querySelector('main img')`);
  // A task of the program may be told of as often as it is shown: the row is looked for by its task, not by its reason.
  await click(`[...document.querySelectorAll('tbody tr.opens')].find(row => row.cells[1].innerText.startsWith('check('))`);
  await until('a task of the program', `document.querySelector('button.explain') !== null && Number(document.getElementById('graph')?.dataset.nodes) > 0`);
  await click(`document.querySelector('button.explain')`);
  await until('why it ran, down to the input', `document.querySelectorAll('#explanation li').length > 1 && ${says('by update')}`);
  await shot('program-task');
  await until('its graph says which read made it run', `Number(document.getElementById('graph').dataset.reasons) > 0`);
  await until('what it reads, and what reads it', `document.querySelectorAll('section.reads tbody a').length > 0 && document.querySelectorAll('section.dependents tbody a').length > 0`);
  await click(`document.querySelector('section.dependents tbody a')`);
  await until('its reader, by a click, with all reads of that', `document.querySelector('h1').innerText.includes('report') && document.querySelectorAll('section.reads tbody tr').length === 40`);
  await until('the graph around a task of many reads, with the rest as a number', `document.getElementById('graph').graph.nodes('[kind = "group"]').some(node => node.data('label').includes('check'))`);
  await key('3');
  await until('sessions and updates', `document.querySelectorAll('.lane span.session').length > 0 && document.querySelectorAll('.lane span.update').length > 0`);
  await shot('program-timeline');
  await key('4');
  await until('memory over time', `document.querySelector('#chart canvas') !== null && document.querySelectorAll('main tbody tr').length > 1 && ${says(' in all')}`);
  await key('t');
  await shot('program-memory');
}

// A service answers while its page is open: many callers at once, one of whom asks for what there is not.
async function service() {
  const product = sku => fetch(shop + '/products/' + sku).then(answer => answer.text());
  await call('Page.navigate', { url: serviceUrl });
  await until('the page of a service that was not asked yet', says('0 tasks in memory'));
  const pages = await Promise.all([...Array(20).keys()].map(caller => product(40 + caller % 4)));
  if (new Set(pages).size !== 4) throw new Error('the service answers: ' + pages.join());
  await until('its functions', `${row('::page')} !== undefined && ${row('::price')} !== undefined && ${row('::description')} !== undefined`);
  await until('its events, live', `Number(document.getElementById('live').dataset.events) >= 12`);
  const runs = await value(`${row('::price')}.innerText`);
  if (!/\b4\b/.test(runs)) throw new Error('the price of 4 products ran another number of times: ' + runs);
  await shot('service-functions');
  const events = await value(`Number(document.getElementById('live').dataset.events)`);
  const missing = await product('none');
  if (!missing.includes('no such product')) throw new Error('the service answers: ' + missing);
  await until('a request, live', `Number(document.getElementById('live').dataset.events) > ${events}`);
  const metrics = await fetch(shop + '/metrics').then(answer => answer.text());
  if (!metrics.includes('larder_runs_total{function="price"} 5')) throw new Error('the metrics are: ' + metrics);
  await key('2');
  await until('its tasks', `${row('price("42"')} !== undefined && ${row('page("none"')} !== undefined`);
  await click(row('page("42"'));
  await until('one of its tasks, with its graph', `document.querySelector('button.explain') !== null && Number(document.getElementById('graph')?.dataset.nodes) > 0`);
  await shot('service-task');
  await key('3');
  await until('its sessions', `document.querySelectorAll('.lane span.session').length > 0`);
}

let code = 0;
try {
  const { targetInfos } = await call('Target.getTargets');
  const { sessionId } = await call('Target.attachToTarget', { targetId: targetInfos.find(target => target.type === 'page').targetId, flatten: true });
  session = sessionId;
  for (const domain of ['Page', 'Runtime', 'Log']) await call(domain + '.enable');
  await store();
  await program();
  await service();
  if (errors.length) throw new Error('errors in the console:\n' + errors.join('\n'));
} catch (error) {
  console.error('inspector: ' + error.message);
  code = 1;
}
chromium.kill();
await new Promise(resolve => chromium.on('close', resolve));
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
process.exit(code);
