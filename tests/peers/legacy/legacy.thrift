// The interface of applications that speak nothing but Framed or Buffered Thrift. Those of them that
// know nothing of Base are generated from what remains of this without the lines that end with "known".
namespace rs known

struct Base {
  1: string LogID = "",
  2: string Caller = "",
  3: string Addr = "",
  4: string Client = "",
  6: optional map<string, string> Extra,
}
struct BaseResp {
  1: string StatusMessage = "",
  2: i32 StatusCode = 0,
  3: optional map<string, string> Extra,
}
struct Item {
  1: required string name,
  2: required i32 count,
  3: required double price,
  4: required list<string> tags,
}
// The text says what is to happen: "refuse" asks for the declared exception, "boom" for another one,
// and "status N" for that StatusCode. An application waits for delay_ms before it does anything.
struct Query {
  1: required string text,
  2: required i64 number,
  3: required double weight,
  4: required bool flag,
  5: required list<Item> items,
  6: required map<string, i32> counts,
  7: optional map<string, list<Item>> shelves,
  8: optional binary blob,
  9: optional i32 delay_ms,
  255: optional Base base, // known
}
struct Answer {
  // All that was read, as text; the same in every language.
  1: required string digest,
  // The Base that came, a line KEY=VALUE for each value.
  2: required string base,
  // What came beside the message.
  3: required string meta,
  4: required list<Item> items,
  255: optional BaseResp baseResp, // known
}
exception Refused {
  1: required i32 code,
  2: required string why,
}
service Legacy {
  Answer ask(1: Query query) throws (1: Refused refused),
  void store(1: Query query) throws (1: Refused refused),
  oneway void note(1: Query query),
  // How many store() and note() there were.
  i32 stored(),
  // Asks the service that the program was told of, and gives its answer.
  Answer relay(1: Query query) throws (1: Refused refused),
  // Gives the facts that came, as the lines of a Base.
  string tell(
    1: required string text,
    7: map<string, string> facts, // known
  ),
}
