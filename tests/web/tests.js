// Runs the tests of the modules below, one after the other, and posts what came of them.

import './answer_test.js';
import './highlight_test.js';
import './inline_test.js';
import './markdown_test.js';
import './page_test.js';
import './passes_test.js';
import './render_test.js';
import './sse_test.js';
import './store_test.js';

import {failures, tests, unexpected} from './check.js';

const only = new URLSearchParams(location.search).get('only') ?? '';
const post = (path, value) => fetch(path, {method: 'POST', body: JSON.stringify(value)});
let passed = 0;
for (const [name, run] of tests) {
  if (!name.includes(only)) continue;
  const before = failures.length;
  failures.current = name;
  await post('/begin', name);
  try {
    await run();
  } catch (error) {
    failures.push([name, String(error?.stack ?? error)]);
  }
  if (failures.length === before) passed++;
}
failures.push(...unexpected);
await post('/result', {passed, failures});
