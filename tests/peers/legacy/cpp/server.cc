// An application on Apache Thrift for C++.
//
//	server framed|buffered ADDRESS [NEXT]
//
// ADDRESS and NEXT, which relay() asks, are unix:PATH.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <iostream>
#include <sstream>
#include <thread>
#include <vector>

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>

#include "Legacy.h"

using namespace apache::thrift;
using protocol::TBinaryProtocol;
using protocol::TBinaryProtocolFactory;
using std::string;

static string join(const std::vector<string> &parts, const string &between)
{
	string all;
	for (size_t i = 0; i < parts.size(); i++)
		all += (i ? between : "") + parts[i];
	return all;
}

static string bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	char text[17];
	snprintf(text, sizeof text, "%016llx", (unsigned long long)bits);
	return text;
}

static string digest_items(const std::vector<Item> &items)
{
	std::vector<string> parts;
	for (const Item &item : items)
		parts.push_back(item.name + ":" + std::to_string(item.count) + ":" +
		    bits_of(item.price) + ":" + join(item.tags, ","));
	return join(parts, ";");
}

static string digest(const Query &query)
{
	std::vector<string> counts, shelves;
	for (const auto &count : query.counts)
		counts.push_back(count.first + "=" + std::to_string(count.second));
	for (const auto &shelf : query.shelves)
		shelves.push_back(shelf.first + "=[" + digest_items(shelf.second) + "]");
	uint32_t sum = 0;
	for (unsigned char byte : query.blob)
		sum += byte;
	return join({ query.text, std::to_string(query.number), bits_of(query.weight),
			query.flag ? "true" : "false", digest_items(query.items), join(counts, ","),
			join(shelves, ","),
			std::to_string(query.blob.size()) + "/" + std::to_string(sum) },
	    "|");
}

static string lines_of(const Base &base)
{
	string lines = "LogID=" + base.LogID + "\nCaller=" + base.Caller + "\nAddr=" + base.Addr +
	    "\nClient=" + base.Client + "\n";
	for (const auto &extra : base.Extra)
		lines += "Extra." + extra.first + "=" + extra.second + "\n";
	return lines;
}

class Application : public LegacyIf {
public:
	Application(const string &mode, const string &next) : mode_(mode), next_(next)
	{
	}

	void ask(Answer &answer, const Query &query) override
	{
		wait_as_asked(query);
		fail_if_asked(query);
		answer.digest = digest(query);
		answer.items = query.items;
		if (query.__isset.base) // known
			answer.base = lines_of(query.base); // known
		if (query.text.compare(0, 7, "status ") == 0) { // known
			answer.baseResp.StatusCode = atoi(query.text.c_str() + 7); // known
			answer.baseResp.StatusMessage = "no stock"; // known
			answer.baseResp.__set_Extra({ { "shelf", "7" } }); // known
			answer.__isset.baseResp = true; // known
		} // known
	}

	void store(const Query &query) override
	{
		fail_if_asked(query);
		stored_++;
	}

	void note(const Query &) override
	{
		stored_++;
	}

	int32_t stored() override
	{
		return stored_;
	}

	void relay(Answer &answer, const Query &query) override
	{
		wait_as_asked(query);
		std::shared_ptr<transport::TTransport> way =
		    std::make_shared<transport::TSocket>(next_);
		if (mode_ == "framed")
			way = std::make_shared<transport::TFramedTransport>(way);
		else
			way = std::make_shared<transport::TBufferedTransport>(way);
		LegacyClient client(std::make_shared<TBinaryProtocol>(way));
		way->open();
		client.ask(answer, query);
		way->close();
	}

	void tell(string &lines, const string &text
	    , const std::map<string, string> &facts // known
	    ) override
	{
		lines = text + "\n";
		for (const auto &fact : facts) // known
			lines += fact.first + "=" + fact.second + "\n"; // known
	}

private:
	static void wait_as_asked(const Query &query)
	{
		std::this_thread::sleep_for(std::chrono::milliseconds(query.delay_ms));
	}

	static void fail_if_asked(const Query &query)
	{
		if (query.text == "boom")
			throw std::runtime_error("undeclared");
		if (query.text != "refuse")
			return;
		Refused refused;
		refused.code = 7;
		refused.why = "declared";
		throw refused;
	}

	const string mode_, next_;
	std::atomic<int32_t> stored_ { 0 };
};

static string path_of(const char *address)
{
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const string mode = argv[1], next = argc > 3 ? path_of(argv[3]) : "";
	std::shared_ptr<transport::TTransportFactory> ways;
	if (mode == "framed")
		ways = std::make_shared<transport::TFramedTransportFactory>();
	else
		ways = std::make_shared<transport::TBufferedTransportFactory>();
	server::TThreadedServer(
	    std::make_shared<LegacyProcessor>(std::make_shared<Application>(mode, next)),
	    std::make_shared<transport::TServerSocket>(path_of(argv[2])), ways,
	    std::make_shared<TBinaryProtocolFactory>())
	    .serve();
}
