'use strict';

// Puts a client behind the lines of the driver: one JSON call per line on standard input, one JSON answer per line on
// standard output, in any order. connect() resolves to {version, calls, pipeline, close}: calls maps the operations of
// the driver to functions, pipeline(steps) executes several in one go.

const readline = require('node:readline');

function say(answer) {
  process.stdout.write(JSON.stringify(answer) + '\n');
}

function fault(id, e) {
  say({ id, err: `${e.name}: ${e.message}` });
}

exports.serve = async function serve(connect) {
  let client;
  try {
    client = await connect();
    await client.calls.ping();
  } catch (e) {
    fault(0, e);
    process.exit(0);
  }
  say({ id: 0, v: client.version });
  const run = ({ id, op, args }) => {
    const work = op === 'pipeline' ? client.pipeline(args) : client.calls[op](...args);
    return Promise.resolve(work).then((v) => say({ id, v: v === undefined ? null : v }), (e) => fault(id, e));
  };
  const open = new Set();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const p = (async () => run(JSON.parse(line)))().finally(() => open.delete(p));
    open.add(p);
  }
  await Promise.all(open);
  await client.close();
  process.exit(0);
};

// pairs cuts [a, 1, b, 2] into [[a, 1], [b, 2]].
exports.pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
