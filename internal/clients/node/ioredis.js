'use strict';

// ioredis for the driver. Arguments: cluster|replicas|plain, 0 (the library's default) or 2 or 3 for RESP, host:port,...

const Redis = require('ioredis');
const { serve, pairs } = require('./lines');

const [mode, resp, addrs] = process.argv.slice(2);
const nodes = addrs.split(',').map((a) => ({ host: a.split(':')[0], port: Number(a.split(':')[1]) }));
const options = resp === '0' ? {} : { protocol: Number(resp) };

function open() {
  if (mode === 'plain') {
    return new Redis({ ...nodes[0], ...options });
  }
  const more = mode === 'replicas' ? { scaleReads: 'slave' } : {};
  if (resp !== '0') {
    more.redisOptions = options;
  }
  return new Redis.Cluster(nodes, more);
}

const num = (s) => (s === null ? null : Number(s));
const map = (flat) => Object.fromEntries(pairs(flat));
const scored = (flat) => pairs(flat).map(([m, s]) => [m, Number(s)]);
const zargs = (ms) => pairs(ms).flatMap(([m, s]) => [s, m]);

function drain(stream) {
  return new Promise((resolve, reject) => {
    const all = [];
    stream.on('data', (part) => all.push(...part));
    stream.on('end', () => resolve(all));
    stream.on('error', reject);
  });
}

async function scan(r, pattern) {
  const nodes = r.nodes ? r.nodes('master') : [r];
  const parts = await Promise.all(nodes.map((n) => drain(n.scanStream({ match: pattern }))));
  return [...new Set(parts.flat())].sort();
}

function calls(r) {
  const table = {
    setnx: async (k, v) => (await r.set(k, v, 'NX')) === 'OK',
    setex: (k, v, s) => r.set(k, v, 'EX', s),
    setpx: (k, v, ms) => r.set(k, v, 'PX', ms),
    incrbyfloat: async (k, by) => num(await r.incrbyfloat(k, by)),
    expire: async (k, s) => (await r.expire(k, s)) === 1,
    persist: async (k) => (await r.persist(k)) === 1,
    hexists: async (k, f) => (await r.hexists(k, f)) === 1,
    hscan: async (k) => map(await drain(r.hscanStream(k))),
    lpopn: (k, n) => r.lpop(k, n),
    sismember: async (k, m) => (await r.sismember(k, m)) === 1,
    smembers: async (k) => (await r.smembers(k)).sort(),
    sscan: async (k) => [...new Set(await drain(r.sscanStream(k)))].sort(),
    sinter: async (...k) => (await r.sinter(...k)).sort(),
    zadd: (k, ...ms) => r.zadd(k, ...zargs(ms)),
    zscore: async (k, m) => num(await r.zscore(k, m)),
    zincrby: async (k, by, m) => num(await r.zincrby(k, by, m)),
    zrangews: async (k, a, b) => scored(await r.zrange(k, a, b, 'WITHSCORES')),
    zpopmin: async (k) => scored(await r.zpopmin(k))[0] ?? null,
    zscan: async (k) => Object.fromEntries(scored(await drain(r.zscanStream(k)))),
    scan: (pattern) => scan(r, pattern),
  };
  for (const same of [
    'set', 'get', 'getdel', 'append', 'strlen', 'incrby', 'getrange', 'setrange', 'del', 'exists', 'mset', 'mget', 'ttl', 'type', 'hset',
    'hget', 'hgetall', 'hdel', 'hincrby', 'hlen', 'hmget', 'rpush', 'lpush', 'lpop', 'rpop', 'lrange', 'llen', 'lrem', 'ltrim', 'sadd',
    'srem', 'scard', 'zrange', 'zrem', 'zcard', 'zrank', 'zcount', 'ping',
  ]) {
    table[same] = (...args) => r[same](...args);
  }
  return table;
}

async function pipeline(r, steps) {
  const p = r.pipeline();
  for (const [op, ...args] of steps) {
    p[op](...(op === 'zadd' ? [args[0], ...zargs(args.slice(1))] : args));
  }
  return (await p.exec()).map(([err, v]) => {
    if (err) {
      throw err;
    }
    return v;
  });
}

serve(async () => {
  const r = open();
  r.on('error', () => {}); // the calls report what matters
  return {
    version: require('ioredis/package.json').version,
    calls: calls(r),
    pipeline: (steps) => pipeline(r, steps),
    close: () => r.quit(),
  };
});
