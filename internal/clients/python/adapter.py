"""Puts redis-py behind the lines of the driver: one JSON call per line on standard input, one JSON answer per line on
standard output, in any order. Arguments: cluster|replicas|plain, 0 (it knows RESP2 only), host:port,..., and reopen
to open a new client when the old one has lost the cluster.

The calls go through the methods that applications use, with the library's defaults."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException

WORKERS = 16


def connect(mode, addrs):
    nodes = [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in addrs.split(","))]
    if mode == "plain":
        host, port = nodes[0]
        return redis.Redis(host=host, port=port, decode_responses=True)
    seeds = [ClusterNode(host, port) for host, port in nodes]
    return RedisCluster(startup_nodes=seeds, decode_responses=True, read_from_replicas=mode == "replicas")


def pairs(flat):
    return dict(zip(flat[0::2], flat[1::2]))


def scores(flat):
    return {m: float(s) for m, s in pairs(flat).items()}


def popped(found):
    return [found[0][0], found[0][1]] if found else None


def calls(r, cluster):
    """The operations of the driver by name."""
    return {
        "set": lambda k, v: ok(r.set(k, v)),
        "setnx": lambda k, v: bool(r.set(k, v, nx=True)),
        "setex": lambda k, v, s: ok(r.set(k, v, ex=s)),
        "setpx": lambda k, v, ms: ok(r.set(k, v, px=ms)),
        "get": r.get,
        "getdel": r.getdel,
        "append": r.append,
        "strlen": r.strlen,
        "incrby": r.incrby,
        "incrbyfloat": r.incrbyfloat,
        "getrange": r.getrange,
        "setrange": r.setrange,
        "del": r.delete,
        "exists": r.exists,
        # Over several slots redis-py's cluster client wants the methods that say so.
        "mset": lambda *kv: ok(r.mset_nonatomic(pairs(kv)) if cluster else r.mset(pairs(kv))),
        "mget": lambda *k: r.mget_nonatomic(k) if cluster else r.mget(k),
        "expire": lambda k, s: bool(r.expire(k, s)),
        "ttl": r.ttl,
        "persist": lambda k: bool(r.persist(k)),
        "type": r.type,
        "hset": lambda k, *fv: r.hset(k, mapping=pairs(fv)),
        "hget": r.hget,
        "hgetall": r.hgetall,
        "hdel": r.hdel,
        "hincrby": r.hincrby,
        "hlen": r.hlen,
        "hmget": lambda k, *f: r.hmget(k, f),
        "hexists": lambda k, f: bool(r.hexists(k, f)),
        "hscan": lambda k: dict(r.hscan_iter(k)),
        "rpush": r.rpush,
        "lpush": r.lpush,
        "lpop": r.lpop,
        "rpop": r.rpop,
        "lpopn": lambda k, n: r.lpop(k, n),
        "lrange": r.lrange,
        "llen": r.llen,
        "lrem": r.lrem,
        "ltrim": lambda k, a, b: ok(r.ltrim(k, a, b)),
        "sadd": r.sadd,
        "srem": r.srem,
        "sismember": lambda k, m: bool(r.sismember(k, m)),
        "smembers": lambda k: sorted(r.smembers(k)),
        "scard": r.scard,
        "sscan": lambda k: sorted(set(r.sscan_iter(k))),
        "sinter": lambda *k: sorted(r.sinter(*k)),
        "zadd": lambda k, *ms: r.zadd(k, scores(ms)),
        "zscore": r.zscore,
        "zincrby": lambda k, by, m: r.zincrby(k, by, m),
        "zrange": r.zrange,
        "zrangews": lambda k, a, b: [list(p) for p in r.zrange(k, a, b, withscores=True)],
        "zrem": r.zrem,
        "zpopmin": lambda k: popped(r.zpopmin(k)),
        "zcard": r.zcard,
        "zrank": r.zrank,
        "zcount": r.zcount,
        "zscan": lambda k: dict(r.zscan_iter(k)),
        "scan": lambda p: sorted(set(r.scan_iter(p))),
        "ping": lambda: bool(r.ping()),
    }


def ok(answer):
    """SET and its like answer True."""
    if answer is True or answer == [True] or (isinstance(answer, list) and all(answer)):
        return "OK"
    raise ValueError(f"not OK: {answer!r}")


def pipeline(r, cluster, steps):
    p = r.pipeline() if cluster else r.pipeline(transaction=False)
    names = []
    for name, *args in steps:
        calls(p, cluster)[name](*args) if name not in RAW else RAW[name](p, *args)
        names.append(name)
    return ["OK" if n == "set" else v for n, v in zip(names, p.execute())]


# What in a pipeline cannot look at the answer yet.
RAW = {
    "set": lambda p, k, v: p.set(k, v),
    "hset": lambda p, k, *fv: p.hset(k, mapping=pairs(fv)),
    "zadd": lambda p, k, *ms: p.zadd(k, scores(ms)),
}


def main():
    mode, _, addrs, *more = sys.argv[1:]
    cluster = mode != "plain"
    out = threading.Lock()

    def say(answer):
        with out:
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    try:
        connect(mode, addrs).ping()
    except Exception as e:  # whatever it is, the driver shall see it
        say({"id": 0, "err": f"{type(e).__name__}: {e}"})
        return
    say({"id": 0, "v": redis.__version__})

    # A client of its own for each thread.
    own = threading.local()

    def client():
        if not hasattr(own, "client"):
            own.client = connect(mode, addrs)
            own.calls = calls(own.client, cluster)
        return own

    def run(call):
        try:
            c = client()
            if call["op"] == "pipeline":
                v = pipeline(c.client, cluster, call["args"])
            else:
                v = c.calls[call["op"]](*call["args"])
            say({"id": call["id"], "v": v})
        except Exception as e:
            if "reopen" in more and isinstance(e, RedisClusterException):
                # redis-py 4.3.4 has lost its way for good: once the first node that it knows of is away, looking for
                # the others fails with "cannot pickle '_thread.lock' object", with Redis Cluster as well.
                own.__dict__.clear()
            say({"id": call["id"], "err": f"{type(e).__name__}: {e}"})

    with ThreadPoolExecutor(WORKERS) as pool:
        for line in sys.stdin:
            pool.submit(run, json.loads(line))


main()
