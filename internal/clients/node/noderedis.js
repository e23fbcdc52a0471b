'use strict';

// node-redis for the driver. Arguments: cluster|replicas|plain, 0 (the library's default) or 2 or 3 for RESP, host:port,...

const redis = require('redis');
const { serve, pairs } = require('./lines');

const [mode, resp, addrs] = process.argv.slice(2);
const rootNodes = addrs.split(',').map((a) => ({ url: `redis://${a}` }));
const options = resp === '0' ? {} : { RESP: Number(resp) };

function open() {
  if (mode === 'plain') {
    return redis.createClient({ ...rootNodes[0], ...options });
  }
  if (mode === 'replicas') {
    options.useReplicas = true;
  }
  return redis.createCluster({ rootNodes, ...options });
}

const text = (list) => list.map(String);
const scored = (list) => list.map(({ value, score }) => [value, score]);
const members = (ms) => pairs(ms).map(([value, score]) => ({ value, score }));

async function gather(iterator) {
  const all = [];
  for await (const part of iterator) {
    all.push(...part);
  }
  return all;
}

// whole follows a cursor to its end.
async function whole(step, field) {
  const all = [];
  let cursor = '0';
  do {
    const part = await step(cursor);
    all.push(...part[field]);
    cursor = String(part.cursor);
  } while (cursor !== '0');
  return all;
}

function calls(r) {
  return {
    ping: () => r.ping(),
    set: (k, v) => r.set(k, v),
    setnx: async (k, v) => (await r.set(k, v, { condition: 'NX' })) === 'OK',
    setex: (k, v, s) => r.set(k, v, { expiration: { type: 'EX', value: s } }),
    setpx: (k, v, ms) => r.set(k, v, { expiration: { type: 'PX', value: ms } }),
    get: (k) => r.get(k),
    getdel: (k) => r.getDel(k),
    append: (k, v) => r.append(k, v),
    strlen: (k) => r.strLen(k),
    incrby: (k, n) => r.incrBy(k, n),
    incrbyfloat: async (k, n) => Number(await r.incrByFloat(k, n)),
    getrange: (k, a, b) => r.getRange(k, a, b),
    setrange: (k, at, v) => r.setRange(k, at, v),
    del: (...k) => r.del(k),
    exists: (...k) => r.exists(k),
    mset: (...kv) => r.mSet(pairs(kv)),
    mget: (...k) => r.mGet(k),
    expire: async (k, s) => (await r.expire(k, s)) === 1,
    ttl: (k) => r.ttl(k),
    persist: async (k) => (await r.persist(k)) === 1,
    type: (k) => r.type(k),
    hset: (k, ...fv) => r.hSet(k, pairs(fv)),
    hget: (k, f) => r.hGet(k, f),
    hgetall: (k) => r.hGetAll(k),
    hdel: (k, ...f) => r.hDel(k, f),
    hincrby: (k, f, n) => r.hIncrBy(k, f, n),
    hlen: (k) => r.hLen(k),
    hmget: (k, ...f) => r.hmGet(k, f),
    hexists: async (k, f) => (await r.hExists(k, f)) === 1,
    hscan: async (k) => {
      const all = await whole((cursor) => r.hScan(k, cursor), 'entries');
      return Object.fromEntries(all.map(({ field, value }) => [field, value]));
    },
    rpush: (k, ...v) => r.rPush(k, v),
    lpush: (k, ...v) => r.lPush(k, v),
    lpop: (k) => r.lPop(k),
    rpop: (k) => r.rPop(k),
    lpopn: (k, n) => r.lPopCount(k, n),
    lrange: (k, a, b) => r.lRange(k, a, b),
    llen: (k) => r.lLen(k),
    lrem: (k, n, v) => r.lRem(k, n, v),
    ltrim: (k, a, b) => r.lTrim(k, a, b),
    sadd: (k, ...m) => r.sAdd(k, m),
    srem: (k, ...m) => r.sRem(k, m),
    sismember: async (k, m) => (await r.sIsMember(k, m)) === 1,
    smembers: async (k) => [...(await r.sMembers(k))].sort(),
    scard: (k) => r.sCard(k),
    sscan: async (k) => [...new Set(await whole((cursor) => r.sScan(k, cursor), 'members'))].sort(),
    sinter: async (...k) => [...(await r.sInter(k))].sort(),
    zadd: (k, ...ms) => r.zAdd(k, members(ms)),
    zscore: (k, m) => r.zScore(k, m),
    zincrby: (k, by, m) => r.zIncrBy(k, by, m),
    zrange: (k, a, b) => r.zRange(k, a, b),
    zrangews: async (k, a, b) => scored(await r.zRangeWithScores(k, a, b)),
    zrem: (k, ...m) => r.zRem(k, m),
    zpopmin: async (k) => {
      const found = await r.zPopMin(k);
      return found === null ? null : scored([found])[0];
    },
    zcard: (k) => r.zCard(k),
    zrank: (k, m) => r.zRank(k, m),
    zcount: (k, a, b) => r.zCount(k, a, b),
    zscan: async (k) => Object.fromEntries(scored(await whole((cursor) => r.zScan(k, cursor), 'members'))),
    scan: async (pattern) => {
      const step = (cursor) => r.scan(cursor, { MATCH: pattern });
      const all = r.scanIterator ? await gather(r.scanIterator({ MATCH: pattern })) : await whole(step, 'keys');
      return text([...new Set(all)]).sort();
    },
  };
}

function pipeline(r, steps) {
  const p = r.multi();
  const add = {
    set: (k, v) => p.set(k, v),
    get: (k) => p.get(k),
    incrby: (k, n) => p.incrBy(k, n),
    rpush: (k, ...v) => p.rPush(k, v),
    hset: (k, ...fv) => p.hSet(k, pairs(fv)),
    sadd: (k, ...m) => p.sAdd(k, m),
    zadd: (k, ...ms) => p.zAdd(k, members(ms)),
  };
  for (const [op, ...args] of steps) {
    add[op](...args);
  }
  return p.execAsPipeline();
}

serve(async () => {
  const r = open();
  r.on('error', () => {}); // the calls report what matters
  await r.connect();
  return {
    version: require('redis/package.json').version,
    calls: calls(r),
    pipeline: (steps) => pipeline(r, steps),
    close: () => r.close(),
  };
});
