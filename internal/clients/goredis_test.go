//go:build clients

package clients

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// goRedis is go-redis.
type goRedis struct {
	rdb   redis.UniversalClient
	calls table
}

// openGoRedis opens go-redis; reload is how old its picture of the cluster may become, 0 = its default of a minute. A
// refused connection to the node that it takes for the master makes it look no sooner.
func openGoRedis(reload time.Duration) func(mode, int, []string) (client, error) {
	return func(m mode, resp int, addrs []string) (client, error) {
		g := &goRedis{}
		switch m {
		case plain:
			g.rdb = redis.NewClient(&redis.Options{Addr: addrs[0], Protocol: resp})
		default:
			g.rdb = redis.NewClusterClient(&redis.ClusterOptions{
				Addrs: addrs, Protocol: resp, ReadOnly: m == replicas, ClusterStateReloadInterval: reload,
			})
		}
		g.calls = goRedisCalls(g.rdb)
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		if err := g.rdb.Ping(ctx).Err(); err != nil {
			return nil, errors.Join(err, g.rdb.Close())
		}
		return g, nil
	}
}

func (g *goRedis) close() error { return g.rdb.Close() }

func (g *goRedis) do(ctx context.Context, op string, args ...any) (any, error) {
	switch op {
	case "pipeline":
		return g.pipeline(ctx, args)
	case "scan":
		return g.scan(ctx, arguments(args).str(0))
	}
	return g.calls.do(ctx, op, args)
}

// found turns go-redis' word for null into null.
func found[T any](v T, err error) (any, error) {
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

func sorted(v []string, err error) (any, error) {
	slices.Sort(v)
	return slices.Compact(v), err
}

func scoredMembers(list []redis.Z) []any {
	all := make([]any, len(list))
	for i, z := range list {
		all[i] = []any{z.Member, z.Score}
	}
	return all
}

// zs reads member, score, member, score.
func zs(a arguments) (list []redis.Z) {
	for i := 0; i < len(a); i += 2 {
		list = append(list, redis.Z{Member: a.str(i), Score: a.float(i + 1)})
	}
	return list
}

// walk follows a cursor to its end.
func walk(step func(cursor uint64) ([]string, uint64, error)) ([]string, error) {
	all := []string{}
	for cursor := uint64(0); ; {
		part, next, err := step(cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if cursor = next; cursor == 0 {
			return all, nil
		}
	}
}

func pairsOf(flat []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(flat); i += 2 {
		m[flat[i]] = flat[i+1]
	}
	return m
}

func (g *goRedis) scan(ctx context.Context, pattern string) (any, error) {
	var mu sync.Mutex
	all := []string{}
	one := func(ctx context.Context, c *redis.Client) error {
		part, err := walk(func(cursor uint64) ([]string, uint64, error) { return c.Scan(ctx, cursor, pattern, 0).Result() })
		mu.Lock()
		defer mu.Unlock()
		all = append(all, part...)
		return err
	}
	var err error
	switch c := g.rdb.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, one)
	case *redis.Client:
		err = one(ctx, c)
	}
	return sorted(all, err)
}

func (g *goRedis) pipeline(ctx context.Context, steps []any) (any, error) {
	cmds, err := g.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, s := range steps {
			step, _ := s.([]any)
			op, a := step[0], arguments(step[1:])
			switch op {
			case "set":
				p.Set(ctx, a.str(0), a.str(1), 0)
			case "get":
				p.Get(ctx, a.str(0))
			case "incrby":
				p.IncrBy(ctx, a.str(0), a.int(1))
			case "rpush":
				p.RPush(ctx, a.str(0), a[1:]...)
			case "hset":
				p.HSet(ctx, a.str(0), a[1:]...)
			case "sadd":
				p.SAdd(ctx, a.str(0), a[1:]...)
			case "zadd":
				p.ZAdd(ctx, a.str(0), zs(a[1:])...)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	replies := make([]any, len(cmds))
	for i, cmd := range cmds {
		switch c := cmd.(type) {
		case *redis.StatusCmd:
			replies[i], err = found(c.Result())
		case *redis.StringCmd:
			replies[i], err = found(c.Result())
		case *redis.IntCmd:
			replies[i], err = found(c.Result())
		default:
			err = errors.New("unexpected kind of reply to " + cmd.String())
		}
		if err != nil {
			return nil, err
		}
	}
	return normal(replies)
}

// goRedisCmd makes an operation of a method.
func goRedisCmd[T any, C interface{ Result() (T, error) }](f func(ctx context.Context, a arguments) C) operation {
	return func(ctx context.Context, a arguments) (any, error) { return found(f(ctx, a).Result()) }
}

func goRedisCalls(r redis.UniversalClient) table {
	all := table{}
	maps.Copy(all, goRedisStrings(r))
	maps.Copy(all, goRedisKeys(r))
	maps.Copy(all, goRedisHashes(r))
	maps.Copy(all, goRedisLists(r))
	maps.Copy(all, goRedisSets(r))
	maps.Copy(all, goRedisSortedSets(r))
	return all
}

func goRedisStrings(r redis.UniversalClient) table {
	return table{
		"set":   goRedisCmd(func(c context.Context, a arguments) *redis.StatusCmd { return r.Set(c, a.str(0), a.str(1), 0) }),
		"setnx": goRedisCmd(func(c context.Context, a arguments) *redis.BoolCmd { return r.SetNX(c, a.str(0), a.str(1), 0) }),
		"setex": goRedisCmd(func(c context.Context, a arguments) *redis.StatusCmd {
			return r.Set(c, a.str(0), a.str(1), a.time(2, time.Second))
		}),
		"setpx": goRedisCmd(func(c context.Context, a arguments) *redis.StatusCmd {
			return r.Set(c, a.str(0), a.str(1), a.time(2, time.Millisecond))
		}),
		"get":         goRedisCmd(func(c context.Context, a arguments) *redis.StringCmd { return r.Get(c, a.str(0)) }),
		"getdel":      goRedisCmd(func(c context.Context, a arguments) *redis.StringCmd { return r.GetDel(c, a.str(0)) }),
		"append":      goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.Append(c, a.str(0), a.str(1)) }),
		"strlen":      goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.StrLen(c, a.str(0)) }),
		"incrby":      goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.IncrBy(c, a.str(0), a.int(1)) }),
		"incrbyfloat": goRedisCmd(func(c context.Context, a arguments) *redis.FloatCmd { return r.IncrByFloat(c, a.str(0), a.float(1)) }),
		"getrange": goRedisCmd(func(c context.Context, a arguments) *redis.StringCmd {
			return r.GetRange(c, a.str(0), a.int(1), a.int(2))
		}),
		"setrange": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.SetRange(c, a.str(0), a.int(1), a.str(2)) }),
		"mset":     goRedisCmd(func(c context.Context, a arguments) *redis.StatusCmd { return r.MSet(c, a...) }),
		"mget":     goRedisCmd(func(c context.Context, a arguments) *redis.SliceCmd { return r.MGet(c, a.from(0)...) }),
	}
}

func goRedisKeys(r redis.UniversalClient) table {
	return table{
		"del":    goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.Del(c, a.from(0)...) }),
		"exists": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.Exists(c, a.from(0)...) }),
		"expire": goRedisCmd(func(c context.Context, a arguments) *redis.BoolCmd {
			return r.Expire(c, a.str(0), a.time(1, time.Second))
		}),
		"ttl": func(c context.Context, a arguments) (any, error) {
			d, err := r.TTL(c, a.str(0)).Result()
			if d < 0 {
				return int64(d), err // go-redis leaves -1 and -2 as they are
			}
			return int64(d / time.Second), err
		},
		"persist": goRedisCmd(func(c context.Context, a arguments) *redis.BoolCmd { return r.Persist(c, a.str(0)) }),
		"type":    goRedisCmd(func(c context.Context, a arguments) *redis.StatusCmd { return r.Type(c, a.str(0)) }),
	}
}

func goRedisHashes(r redis.UniversalClient) table {
	return table{
		"hset":    goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.HSet(c, a.str(0), a[1:]...) }),
		"hget":    goRedisCmd(func(c context.Context, a arguments) *redis.StringCmd { return r.HGet(c, a.str(0), a.str(1)) }),
		"hgetall": goRedisCmd(func(c context.Context, a arguments) *redis.MapStringStringCmd { return r.HGetAll(c, a.str(0)) }),
		"hdel":    goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.HDel(c, a.str(0), a.from(1)...) }),
		"hincrby": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.HIncrBy(c, a.str(0), a.str(1), a.int(2)) }),
		"hlen":    goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.HLen(c, a.str(0)) }),
		"hmget":   goRedisCmd(func(c context.Context, a arguments) *redis.SliceCmd { return r.HMGet(c, a.str(0), a.from(1)...) }),
		"hexists": goRedisCmd(func(c context.Context, a arguments) *redis.BoolCmd { return r.HExists(c, a.str(0), a.str(1)) }),
		"hscan": func(c context.Context, a arguments) (any, error) {
			flat, err := walk(func(cursor uint64) ([]string, uint64, error) { return r.HScan(c, a.str(0), cursor, "", 0).Result() })
			return pairsOf(flat), err
		},
	}
}

func goRedisLists(r redis.UniversalClient) table {
	return table{
		"rpush": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.RPush(c, a.str(0), a[1:]...) }),
		"lpush": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.LPush(c, a.str(0), a[1:]...) }),
		"lpop":  goRedisCmd(func(c context.Context, a arguments) *redis.StringCmd { return r.LPop(c, a.str(0)) }),
		"rpop":  goRedisCmd(func(c context.Context, a arguments) *redis.StringCmd { return r.RPop(c, a.str(0)) }),
		"lpopn": goRedisCmd(func(c context.Context, a arguments) *redis.StringSliceCmd {
			return r.LPopCount(c, a.str(0), int(a.int(1)))
		}),
		"lrange": goRedisCmd(func(c context.Context, a arguments) *redis.StringSliceCmd {
			return r.LRange(c, a.str(0), a.int(1), a.int(2))
		}),
		"llen":  goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.LLen(c, a.str(0)) }),
		"lrem":  goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.LRem(c, a.str(0), a.int(1), a.str(2)) }),
		"ltrim": goRedisCmd(func(c context.Context, a arguments) *redis.StatusCmd { return r.LTrim(c, a.str(0), a.int(1), a.int(2)) }),
	}
}

func goRedisSets(r redis.UniversalClient) table {
	return table{
		"sadd":      goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.SAdd(c, a.str(0), a[1:]...) }),
		"srem":      goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.SRem(c, a.str(0), a[1:]...) }),
		"sismember": goRedisCmd(func(c context.Context, a arguments) *redis.BoolCmd { return r.SIsMember(c, a.str(0), a.str(1)) }),
		"smembers":  func(c context.Context, a arguments) (any, error) { return sorted(r.SMembers(c, a.str(0)).Result()) },
		"scard":     goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.SCard(c, a.str(0)) }),
		"sscan": func(c context.Context, a arguments) (any, error) {
			return sorted(walk(func(cursor uint64) ([]string, uint64, error) { return r.SScan(c, a.str(0), cursor, "", 0).Result() }))
		},
		"sinter": func(c context.Context, a arguments) (any, error) { return sorted(r.SInter(c, a.from(0)...).Result()) },
	}
}

func goRedisSortedSets(r redis.UniversalClient) table {
	return table{
		"zadd":   goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.ZAdd(c, a.str(0), zs(a[1:])...) }),
		"zscore": goRedisCmd(func(c context.Context, a arguments) *redis.FloatCmd { return r.ZScore(c, a.str(0), a.str(1)) }),
		"zincrby": goRedisCmd(func(c context.Context, a arguments) *redis.FloatCmd {
			return r.ZIncrBy(c, a.str(0), a.float(1), a.str(2))
		}),
		"zrange": goRedisCmd(func(c context.Context, a arguments) *redis.StringSliceCmd {
			return r.ZRange(c, a.str(0), a.int(1), a.int(2))
		}),
		"zrangews": func(c context.Context, a arguments) (any, error) {
			list, err := r.ZRangeWithScores(c, a.str(0), a.int(1), a.int(2)).Result()
			return scoredMembers(list), err
		},
		"zrem": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.ZRem(c, a.str(0), a[1:]...) }),
		"zpopmin": func(c context.Context, a arguments) (any, error) {
			list, err := r.ZPopMin(c, a.str(0)).Result()
			if err != nil || len(list) == 0 {
				return nil, err
			}
			return scoredMembers(list)[0], nil
		},
		"zcard":  goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.ZCard(c, a.str(0)) }),
		"zrank":  goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.ZRank(c, a.str(0), a.str(1)) }),
		"zcount": goRedisCmd(func(c context.Context, a arguments) *redis.IntCmd { return r.ZCount(c, a.str(0), a.str(1), a.str(2)) }),
		"zscan": func(c context.Context, a arguments) (any, error) {
			flat, err := walk(func(cursor uint64) ([]string, uint64, error) { return r.ZScan(c, a.str(0), cursor, "", 0).Result() })
			if err != nil {
				return nil, err
			}
			return numbers(pairsOf(flat))
		},
	}
}
