// Tests and what they expect.

export const tests = [];
export const failures = [];
export const unexpected = [];  // errors that no test caught

export function test(name, run) { tests.push([name, run]); }

function fail(message) {
  failures.push(
      [failures.current, `${message}\n${new Error().stack.split('\n').slice(3, 5).join('\n')}`]);
}

const show = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

export function expect(condition, message = 'is not true') {
  if (!condition) fail(message);
}

export function expectEqual(actual, expected) {
  const a = show(actual), b = show(expected);
  if (a !== b) fail(`is:       ${a}\nexpected: ${b}`);
}

export async function expectThrows(run, part) {
  try {
    await run();
  } catch (error) {
    if (!String(error.message).includes(part)) fail(`"${error.message}" does not say "${part}"`);
    return;
  }
  fail(`nothing was thrown; expected "${part}"`);
}

// Waits until it is true; the runner's time limit ends what never is.
export async function until(condition) {
  for (;;) {
    const value = condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

addEventListener(
    'error', (event) => unexpected.push(['uncaught', String(event.error?.stack ?? event.message)]));
addEventListener(
    'unhandledrejection',
    (event) => unexpected.push(['uncaught', String(event.reason?.stack ?? event.reason)]));

// Numbers that look random and are the same each time.
export function* numbers(seed) {
  for (;;) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    yield seed / 2 ** 32;
  }
}
