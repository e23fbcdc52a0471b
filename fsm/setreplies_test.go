package fsm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// replyCase is a command, its reply in RESP2, and in RESP3 if that differs; line ends are printed as spaces. The
// replies are those of Redis 7.0. The cases of a table run in order on one store.
type replyCase struct{ cmd, resp2, resp3 string }

func runReplies(t *testing.T, cases []replyCase) {
	for _, resp3 := range []bool{false, true} {
		b := newBench()
		b.out.resp3 = resp3
		for _, c := range cases {
			want := c.resp2
			if resp3 && c.resp3 != "" {
				want = c.resp3
			}
			got := strings.ReplaceAll(strings.TrimSuffix(b.do(strings.Fields(c.cmd)...), "\r\n"), "\r\n", " ")
			require.Equal(t, want, got, "%s (RESP3 %v)", c.cmd, resp3)
		}
		require.NoError(t, b.s.Check())
		if askRedis != nil {
			askRedis(t, resp3, cases)
		}
	}
}

// askRedis compares a table with a live redis-server; nil where none is asked for.
var askRedis func(t *testing.T, resp3 bool, cases []replyCase)

func TestListReplies(t *testing.T) {
	runReplies(t, []replyCase{
		{"RPUSH l a b c d e", ":5", ""},
		{"LPUSH l z", ":6", ""},
		{"LPUSHX none a", ":0", ""},
		{"RPUSHX none a", ":0", ""},
		{"LLEN l", ":6", ""},
		{"LRANGE l 0 -1", "*6 $1 z $1 a $1 b $1 c $1 d $1 e", ""},
		{"LRANGE l -3 -2", "*2 $1 c $1 d", ""},
		{"LRANGE l 5 1", "*0", ""},
		{"LINDEX l -1", "$1 e", ""},
		{"LINDEX l 99", "$-1", "_"},
		{"LINDEX none x", "$-1", "_"},
		{"LINDEX l x", "-ERR value is not an integer or out of range", ""},
		{"LSET l 0 y", "+OK", ""},
		{"LSET l 99 y", "-ERR index out of range", ""},
		{"LSET none 0 y", "-ERR no such key", ""},
		{"LINSERT l BEFORE c bc", ":7", ""},
		{"LINSERT l AFTER c cd", ":8", ""},
		{"LINSERT l AFTER nope x", ":-1", ""},
		{"LINSERT l NEAR c x", "-ERR syntax error", ""},
		{"LINSERT none AFTER c x", ":0", ""},
		{"RPUSH p a b a c a", ":5", ""},
		{"LPOS p a", ":0", ""},
		{"LPOS p a RANK 2", ":2", ""},
		{"LPOS p a RANK -1 COUNT 0", "*3 :4 :2 :0", ""},
		{"LPOS p a COUNT 2 MAXLEN 3", "*2 :0 :2", ""},
		{"LPOS p x", "$-1", "_"},
		{"LPOS p x COUNT 1", "*0", ""},
		{"LPOS p a RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list", ""},
		{"LPOS p a COUNT -1", "-ERR COUNT can't be negative", ""},
		{"LPOS p a MAXLEN -1", "-ERR MAXLEN can't be negative", ""},
		{"LPOS p a RANK", "-ERR syntax error", ""},
		{"LREM p -2 a", ":2", ""},
		{"LRANGE p 0 -1", "*3 $1 a $1 b $1 c", ""},
		{"LTRIM l 1 3", "+OK", ""},
		{"LRANGE l 0 -1", "*3 $1 a $1 b $2 bc", ""},
		{"LPOP l", "$1 a", ""},
		{"RPOP l", "$2 bc", ""},
		{"LPOP l 0", "*0", ""},
		{"LPOP none", "$-1", "_"},
		{"LPOP none 2", "*-1", "_"},
		{"LPOP l -1", "-ERR value is out of range, must be positive", ""},
		{"LPOP l x", "-ERR value is out of range, must be positive", ""},
		{"LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command", ""},
		{"RPUSH m 1 2 3", ":3", ""},
		{"LMOVE m m LEFT RIGHT", "$1 1", ""},
		{"LMOVE m other RIGHT LEFT", "$1 1", ""},
		{"LMOVE none other LEFT LEFT", "$-1", "_"},
		{"LMOVE m other UP LEFT", "-ERR syntax error", ""},
		{"RPOPLPUSH m other", "$1 3", ""},
		{"LRANGE other 0 -1", "*2 $1 3 $1 1", ""},
		{"LMPOP 2 none other LEFT COUNT 5", "*2 $5 other *2 $1 3 $1 1", ""},
		{"LMPOP 1 other RIGHT", "*-1", "_"},
		{"LMPOP 0 other RIGHT", "-ERR numkeys should be greater than 0", ""},
		{"LMPOP 3 other RIGHT", "-ERR syntax error", ""},
		{"LMPOP 1 m RIGHT COUNT 0", "-ERR count should be greater than 0", ""},
		{"SADD s x", ":1", ""},
		{"LPUSH s x", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"LMOVE m s LEFT LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"LMPOP 1 s LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"LPOP m 10", "*1 $1 2", ""},
		{"EXISTS m", ":0", ""},
	})
}

func TestSetReplies(t *testing.T) {
	runReplies(t, []replyCase{
		{"SADD s a b c a", ":3", ""},
		{"SADD s a", ":0", ""},
		{"SCARD s", ":3", ""},
		{"SCARD none", ":0", ""},
		{"SISMEMBER s a", ":1", ""},
		{"SISMEMBER none a", ":0", ""},
		{"SMISMEMBER s a x", "*2 :1 :0", ""},
		{"SMISMEMBER none a x", "*2 :0 :0", ""},
		{"SREM s a x", ":1", ""},
		{"SMEMBERS none", "*0", "~0"},
		{"SADD one m", ":1", ""},
		{"SMEMBERS one", "*1 $1 m", "~1 $1 m"},
		{"SMOVE one two m", ":1", ""},
		{"SMOVE one two m", ":0", ""},
		{"SMEMBERS two", "*1 $1 m", "~1 $1 m"},
		{"SMOVE two two m", ":1", ""},
		{"EXISTS one", ":0", ""},
		{"SPOP two 5", "*1 $1 m", "~1 $1 m"},
		{"SPOP two", "$-1", "_"},
		{"SPOP two 1", "*0", "~0"},
		{"SPOP s -1", "-ERR value is out of range, must be positive", ""},
		{"SPOP s 1 2", "-ERR syntax error", ""},
		{"SRANDMEMBER none", "$-1", "_"},
		{"SRANDMEMBER none 2", "*0", ""},
		{"SRANDMEMBER s x", "-ERR value is not an integer or out of range", ""},
		{"SADD t b c d", ":3", ""},
		{"SINTERSTORE i s t", ":2", ""},
		{"SUNIONSTORE u s t", ":3", ""},
		{"SDIFFSTORE d t s", ":1", ""},
		{"SMEMBERS d", "*1 $1 d", "~1 $1 d"},
		{"SDIFFSTORE d s s", ":0", ""},
		{"EXISTS d", ":0", ""},
		{"SINTERCARD 2 s t", ":2", ""},
		{"SINTERCARD 2 s t LIMIT 1", ":1", ""},
		{"SINTERCARD 0 s", "-ERR numkeys should be greater than 0", ""},
		{"SINTERCARD 3 s t", "-ERR Number of keys can't be greater than number of args", ""},
		{"SINTERCARD 1 s LIMIT -1", "-ERR LIMIT can't be negative", ""},
		{"SINTERCARD 1 s COUNT 1", "-ERR syntax error", ""},
		{"SINTER s none", "*0", "~0"},
		{"HSET h f v", ":1", ""},
		{"SINTER none h", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"SADD h x", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"SUNION s h", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"SMOVE s h b", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
	})
}

func TestHashReplies(t *testing.T) {
	runReplies(t, []replyCase{
		{"HSET h a 1 b 2", ":2", ""},
		{"HSET h a 3 c 4", ":1", ""},
		{"HSET h a", "-ERR wrong number of arguments for 'hset' command", ""},
		{"HMSET h d 5 e", "-ERR wrong number of arguments for 'hmset' command", ""},
		{"HMSET h d 5", "+OK", ""},
		{"HGET h a", "$1 3", ""},
		{"HGET h x", "$-1", "_"},
		{"HGET none x", "$-1", "_"},
		{"HMGET h a x", "*2 $1 3 $-1", "*2 $1 3 _"},
		{"HMGET none a", "*1 $-1", "*1 _"},
		{"HGETALL h", "*8 $1 a $1 3 $1 b $1 2 $1 c $1 4 $1 d $1 5", "%4 $1 a $1 3 $1 b $1 2 $1 c $1 4 $1 d $1 5"},
		{"HGETALL none", "*0", "%0"},
		{"HKEYS h", "*4 $1 a $1 b $1 c $1 d", ""},
		{"HVALS h", "*4 $1 3 $1 2 $1 4 $1 5", ""},
		{"HLEN h", ":4", ""},
		{"HEXISTS h a", ":1", ""},
		{"HEXISTS h x", ":0", ""},
		{"HSTRLEN h a", ":1", ""},
		{"HSTRLEN none a", ":0", ""},
		{"HSETNX h a 9", ":0", ""},
		{"HSETNX h n 9", ":1", ""},
		{"HDEL h n x", ":1", ""},
		{"HINCRBY h a 5", ":8", ""},
		{"HINCRBY h a x", "-ERR value is not an integer or out of range", ""},
		{"HINCRBY h a 9223372036854775807", "-ERR increment or decrement would overflow", ""},
		{"HSET h w text", ":1", ""},
		{"HINCRBY h w 1", "-ERR hash value is not an integer", ""},
		{"HINCRBYFLOAT h w 1", "-ERR hash value is not a float", ""},
		{"HINCRBYFLOAT h a 0.1", "$3 8.1", ""},
		{"HINCRBYFLOAT h a -1e-3", "$5 8.099", ""},
		{"HINCRBYFLOAT h new 3.0e3", "$4 3000", ""},
		{"HINCRBYFLOAT h a x", "-ERR value is not a valid float", ""},
		{"HRANDFIELD none 9223372036854775807 WITHVALUES", "-ERR value is out of range", ""},
		{"HRANDFIELD none", "$-1", "_"},
		{"HRANDFIELD none 2 WITHVALUES", "*0", ""},
		{"HRANDFIELD h 1 VALUES", "-ERR syntax error", ""},
		{"HSET r f v", ":1", ""},
		{"HRANDFIELD r 5 WITHVALUES", "*2 $1 f $1 v", "*1 *2 $1 f $1 v"},
		{"HRANDFIELD r -2 WITHVALUES", "*4 $1 f $1 v $1 f $1 v", "*2 *2 $1 f $1 v *2 $1 f $1 v"},
		{"HRANDFIELD r", "$1 f", ""},
		{"HDEL r f", ":1", ""},
		{"EXISTS r", ":0", ""},
		{"LPUSH l x", ":1", ""},
		{"HSET l a b", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"HGETALL l", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
	})
}

func TestZSetReplies(t *testing.T) {
	runReplies(t, []replyCase{
		{"ZADD z 1 a 2 b 3 c", ":3", ""},
		{"ZADD z CH 1 a 5 b 4 d", ":2", ""},
		{"ZADD z NX 9 a 9 e", ":1", ""},
		{"ZADD z XX 8 e 8 f", ":0", ""},
		{"ZADD z GT CH 1 e 9 a", ":1", ""},
		{"ZADD z LT 1 a", ":0", ""},
		{"ZADD z INCR 2.5 a", "$3 3.5", ",3.5"},
		{"ZADD z NX INCR 1 a", "$-1", "_"},
		{"ZADD z GT INCR -1 a", "$-1", "_"},
		{"ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible", ""},
		{"ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible", ""},
		{"ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair", ""},
		{"ZADD z 1", "-ERR wrong number of arguments for 'zadd' command", ""},
		{"ZADD z x a", "-ERR value is not a valid float", ""},
		{"ZADD z XX", "-ERR wrong number of arguments for 'zadd' command", ""},
		{"ZRANGE z 0 -1 WITHSCORES", "*10 $1 c $1 3 $1 a $3 3.5 $1 d $1 4 $1 b $1 5 $1 e $1 8", "*5 *2 $1 c ,3 *2 $1 a ,3.5 *2 $1 d ,4 *2 $1 b ,5 *2 $1 e ,8"},
		{"ZREVRANGE z 0 1", "*2 $1 e $1 b", ""},
		{"ZRANGE z 0 -1 REV WITHSCORES", "*10 $1 e $1 8 $1 b $1 5 $1 d $1 4 $1 a $3 3.5 $1 c $1 3", "*5 *2 $1 e ,8 *2 $1 b ,5 *2 $1 d ,4 *2 $1 a ,3.5 *2 $1 c ,3"},
		{"ZRANGE z (1 +inf BYSCORE LIMIT 1 2", "*2 $1 a $1 d", ""},
		{"ZRANGE z 9 1 BYSCORE REV WITHSCORES", "*10 $1 e $1 8 $1 b $1 5 $1 d $1 4 $1 a $3 3.5 $1 c $1 3", "*5 *2 $1 e ,8 *2 $1 b ,5 *2 $1 d ,4 *2 $1 a ,3.5 *2 $1 c ,3"},
		{"ZRANGE z 0 1 LIMIT 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX", ""},
		{"ZRANGE z - + BYLEX WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX", ""},
		{"ZRANGE z x 1", "-ERR value is not an integer or out of range", ""},
		{"ZRANGE z 0 1 REV REV", "-ERR syntax error", ""},
		{"ZRANGE z 0 1 BYSCORE BYSCORE", "-ERR syntax error", ""},
		{"ZRANGE z 0 1 BYLEX BYSCORE", "-ERR syntax error", ""},
		{"ZRANGE z 0 1 BYSCORE REV BYLEX", "-ERR syntax error", ""},
		{"ZRANGESTORE st z 0 1 REV REV", "-ERR syntax error", ""},
		{"ZREVRANGE z 0 0 REV", "-ERR syntax error", ""},
		{"ZRANGE z 0 0 WITHSCORES WITHSCORES REV", "*2 $1 e $1 8", "*1 *2 $1 e ,8"},
		{"ZRANGE z x 1 BYSCORE", "-ERR min or max is not a float", ""},
		{"ZRANGE z x 1 BYLEX", "-ERR min or max not valid string range item", ""},
		{"ZRANGEBYSCORE z -inf (5 WITHSCORES LIMIT 0 -1", "*6 $1 c $1 3 $1 a $3 3.5 $1 d $1 4", "*3 *2 $1 c ,3 *2 $1 a ,3.5 *2 $1 d ,4"},
		{"ZREVRANGEBYSCORE z 5 1", "*4 $1 b $1 d $1 a $1 c", ""},
		{"ZCOUNT z 3 5", ":4", ""},
		{"ZRANK z a", ":1", ""},
		{"ZREVRANK z a", ":3", ""},
		{"ZRANK z x", "$-1", "_"},
		{"ZSCORE z e", "$1 8", ",8"},
		{"ZSCORE z x", "$-1", "_"},
		{"ZMSCORE z a x", "*2 $3 3.5 $-1", "*2 ,3.5 _"},
		{"ZINCRBY z -inf a", "$4 -inf", ",-inf"},
		{"ZINCRBY z inf a", "-ERR resulting score is not a number (NaN)", ""},
		{"ZINCRBY z nx a", "-ERR syntax error", ""},
		{"ZINCRBY z Incr ch", "-ERR syntax error", ""},
		{"ZINCRBY z 1 nx", "$1 1", ",1"},
		{"ZREM z a x nx", ":2", ""},
		{"ZCARD z", ":4", ""},
		{"ZADD q 0 a 0 b 0 c 0 d", ":4", ""},
		{"ZRANGEBYLEX q [b +", "*3 $1 b $1 c $1 d", ""},
		{"ZREVRANGEBYLEX q (d -", "*3 $1 c $1 b $1 a", ""},
		{"ZLEXCOUNT q - (c", ":2", ""},
		{"ZREMRANGEBYLEX q [a (b", ":1", ""},
		{"ZREMRANGEBYRANK q 0 0", ":1", ""},
		{"ZREMRANGEBYSCORE q 0 0", ":2", ""},
		{"EXISTS q", ":0", ""},
		{"ZRANGESTORE st z 0 1", ":2", ""},
		{"ZRANGE st 0 -1", "*2 $1 c $1 d", ""},
		{"ZRANGESTORE st none 0 1", ":0", ""},
		{"EXISTS st", ":0", ""},
		{"ZADD y 1 b 2 x", ":2", ""},
		{"ZUNION 2 z y WITHSCORES", "*10 $1 x $1 2 $1 c $1 3 $1 d $1 4 $1 b $1 6 $1 e $1 8", "*5 *2 $1 x ,2 *2 $1 c ,3 *2 $1 d ,4 *2 $1 b ,6 *2 $1 e ,8"},
		{"ZUNION 2 z y WEIGHTS 2 0.5 AGGREGATE MAX WITHSCORES", "*10 $1 x $1 1 $1 c $1 6 $1 d $1 8 $1 b $2 10 $1 e $2 16", "*5 *2 $1 x ,1 *2 $1 c ,6 *2 $1 d ,8 *2 $1 b ,10 *2 $1 e ,16"},
		{"ZINTER 2 z y WITHSCORES", "*2 $1 b $1 6", "*1 *2 $1 b ,6"},
		{"ZDIFF 2 z y", "*3 $1 c $1 d $1 e", ""},
		{"ZUNIONSTORE st 2 z y AGGREGATE MIN", ":5", ""},
		{"ZINTERSTORE st 2 z none", ":0", ""},
		{"ZDIFFSTORE st 2 z y", ":3", ""},
		{"ZINTERCARD 2 z y LIMIT 1", ":1", ""},
		{"ZUNION 0 z", "-ERR at least 1 input key is needed for 'zunion' command", ""},
		{"ZINTER 2 z", "-ERR syntax error", ""},
		{"ZUNION 1 z WEIGHTS x", "-ERR weight value is not a float", ""},
		{"ZUNION 1 z AGGREGATE AVG", "-ERR syntax error", ""},
		{"SADD s b x", ":2", ""},
		{"ZINTER 2 z s WITHSCORES", "*2 $1 b $1 6", "*1 *2 $1 b ,6"},
		{"ZADD nul 0 b 2 x", ":2", ""},
		{"ZINTER 2 s nul WEIGHTS 0.1 -inf WITHSCORES", "*4 $1 x $4 -inf $1 b $1 0", "*2 *2 $1 x ,-inf *2 $1 b ,0"},
		{"ZINTER 2 s nul WEIGHTS 0.1 -inf AGGREGATE MAX WITHSCORES", "*4 $1 b $19 0.10000000000000001 $1 x $19 0.10000000000000001", "*2 *2 $1 b ,0.10000000000000001 *2 $1 x ,0.10000000000000001"},
		{"ZUNION 2 s nul WEIGHTS 0.1 -inf WITHSCORES", "*4 $1 x $4 -inf $1 b $19 0.10000000000000001", "*2 *2 $1 x ,-inf *2 $1 b ,0.10000000000000001"},
		{"ZINTERSTORE nul 2 s nul WEIGHTS -inf inf", ":2", ""},
		{"ZRANGE nul 0 -1 WITHSCORES", "*4 $1 b $1 0 $1 x $1 0", "*2 *2 $1 b ,0 *2 $1 x ,0"},
		{"ZPOPMIN z", "*2 $1 c $1 3", "*2 $1 c ,3"},
		{"ZPOPMAX z 2", "*4 $1 e $1 8 $1 b $1 5", "*2 *2 $1 e ,8 *2 $1 b ,5"},
		{"ZPOPMIN z 0", "*0", ""},
		{"ZPOPMIN none", "*0", ""},
		{"ZPOPMIN z -1", "-ERR value is out of range, must be positive", ""},
		{"ZPOPMIN z 1 2", "-ERR syntax error", ""},
		{"ZMPOP 2 none y MAX COUNT 5", "*2 $1 y *2 *2 $1 x $1 2 *2 $1 b $1 1", "*2 $1 y *2 *2 $1 x ,2 *2 $1 b ,1"},
		{"ZMPOP 1 y MIN", "*-1", "_"},
		{"ZMPOP 1 y UP", "-ERR syntax error", ""},
		{"ZADD r 1.5 m", ":1", ""},
		{"ZRANDMEMBER r", "$1 m", ""},
		{"ZRANDMEMBER r 2 WITHSCORES", "*2 $1 m $3 1.5", "*1 *2 $1 m ,1.5"},
		{"ZRANDMEMBER r -2 WITHSCORES", "*4 $1 m $3 1.5 $1 m $3 1.5", "*2 *2 $1 m ,1.5 *2 $1 m ,1.5"},
		{"ZRANDMEMBER none 2", "*0", ""},
		{"ZRANDMEMBER none 9223372036854775807", "*0", ""},
		{"ZRANDMEMBER none 9223372036854775807 WITHSCORES", "-ERR value is out of range", ""},
		{"ZRANDMEMBER none 9223372036854775807 WITHSCORE", "-ERR syntax error", ""},
		{"ZRANDMEMBER none 4611686018427387903 WITHSCORES", "*0", ""},
		{"ZRANDMEMBER none -9223372036854775808 WITHSCORES", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807", ""},
		{"ZRANGEBYSCORE r 1\x00x (3\x00", "*1 $1 m", ""},
		{"ZADD s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"ZADD long 1e17 a", ":1", ""},
		{"ZADD long -4.6e18 b 1e19 c inf d 1.5 e", ":4", ""},
		{"ZSCORE long a", "$5 1e+17", ",1e+17"},
		{"ZSCAN long 0", "*2 $1 0 *10 $1 a $18 100000000000000000 $1 b $20 -4600000000000000000 $1 c $5 1e+19 $1 d $3 inf $1 e $3 1.5", ""},
		{"ZADD inf inf a -inf b 3.0000000000000004 c 1e20 d 0.1 e", ":5", ""},
		{"ZRANGE inf 0 -1 WITHSCORES", "*10 $1 b $4 -inf $1 e $19 0.10000000000000001 $1 c $18 3.0000000000000004 $1 d $5 1e+20 $1 a $3 inf", "*5 *2 $1 b ,-inf *2 $1 e ,0.10000000000000001 *2 $1 c ,3.0000000000000004 *2 $1 d ,1e+20 *2 $1 a ,inf"},
	})
}

// The option of Redis 7.2, which the live redis-server need not have.
func TestRankWithScore(t *testing.T) {
	for _, resp3 := range []bool{false, true} {
		b := newBench()
		b.out.resp3 = resp3
		b.do("ZADD", "z", "1.5", "a", "2", "b", "inf", "c")
		b.do("SET", "s", "v")
		for _, c := range []replyCase{
			{"ZRANK z a WITHSCORE", "*2 :0 $3 1.5", "*2 :0 ,1.5"},
			{"ZREVRANK z a withscore", "*2 :2 $3 1.5", "*2 :2 ,1.5"},
			{"ZREVRANK z c WITHSCORE", "*2 :0 $3 inf", "*2 :0 ,inf"},
			{"ZRANK z x WITHSCORE", "*-1", "_"},
			{"ZREVRANK none x WITHSCORE", "*-1", "_"},
			{"ZRANK none x", "$-1", "_"},
			{"ZRANK z a WITHSCORES", "-ERR syntax error", ""},
			{"ZRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command", ""},
			{"ZREVRANK z a x y z", "-ERR wrong number of arguments for 'zrevrank' command", ""},
			{"ZRANK s a WITHSCORE", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
			{"ZRANK s a x", "-ERR syntax error", ""},
		} {
			want := c.resp2
			if resp3 && c.resp3 != "" {
				want = c.resp3
			}
			got := strings.ReplaceAll(strings.TrimSuffix(b.do(strings.Fields(c.cmd)...), "\r\n"), "\r\n", " ")
			require.Equal(t, want, got, "%s (RESP3 %v)", c.cmd, resp3)
		}
	}
}
