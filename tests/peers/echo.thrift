// The interface of all test peers.
namespace rs echo

struct Req {
  1: required string text,
  2: optional i32 delay_ms,
  3: optional binary blob,
}
struct Resp {
  1: required string text,
  2: optional map<string, string> meta,
  3: optional binary blob,
}
exception Oops {
  1: required i32 code,
  2: required string why,
}
service Echo {
  // Gives text and blob back after delay_ms, and what metadata came with the call. The text "oops" asks
  // for the declared exception.
  Resp echo(1: Req req) throws (1: Oops oops),
  oneway void fire(1: Req req),
  // How many fire() there were.
  i32 fired(),
  // "biz" ends in a business error, anything else in an undeclared exception.
  void boom(1: string kind),
}
