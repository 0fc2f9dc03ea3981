#include "server/http/request_reader.h"

#include <fmt/core.h>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <new>
#include <utility>

#include "server/http/target.h"

namespace orthrus::server {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

// A body in memory, of which no more is allocated than has come: a Content-Length is a claim.
struct BoundedBody {
  struct value_type {
    std::string text;
    std::optional<BodyShare> share;
    bool refused = false;  // for want of memory
  };

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>&, error_code& error) { error = {}; }

    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      size_t taken = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer buffer = *it;
        if (!body_.share->grow(buffer.size())) {
          body_.refused = true;
          error = http::error::buffer_overflow;
          return taken;
        }
        body_.text.append(static_cast<const char*>(buffer.data()), buffer.size());
        taken += buffer.size();
      }
      return taken;
    }

    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

BadRequest problem_of(error_code error, const HttpLimits& limits) {
  if (error == http::error::header_limit) {
    return {431, fmt::format("The request's header is longer than {} bytes.", limits.header_bytes)};
  }
  if (error == http::error::body_limit) {
    return {413, fmt::format("The request's body is longer than {} bytes.", limits.body_bytes)};
  }
  if (error == http::error::bad_version) {
    return {505, "The request's version of HTTP is not 1.1 or 1.0."};
  }
  return {400, fmt::format("The request is not HTTP: {}.", error.message())};
}

}  // namespace

bool BodyMemory::take(size_t bytes) {
  size_t used = used_;
  do {
    if (bytes > limit_ || used > limit_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes));
  return true;
}

struct RequestReader::Impl {
  Impl(const HttpLimits& limits, std::shared_ptr<BodyMemory> memory) : limits(limits) {
    parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    parser.body_limit(limits.body_bytes);
    parser.get().body().share.emplace(std::move(memory));
  }

  bool read_head();
  std::optional<BadRequest> check_header();
  size_t count(http::field name) const { return parser.get().count(name); }
  std::string_view value(http::field name) const { return view(parser.get()[name]); }

  const HttpLimits& limits;
  http::request_parser<BoundedBody> parser;
  bool header_told = false;
  size_t header_bytes = 0;  // of the header, that were taken
  BadRequest problem{};
  HttpRequest request;
};

RequestReader::RequestReader(const HttpLimits& limits, std::shared_ptr<BodyMemory> memory)
    : impl_(std::make_unique<Impl>(limits, std::move(memory))) {}

RequestReader::~RequestReader() = default;

RequestReader::Progress RequestReader::put(std::string_view& bytes) {
  http::request_parser<BoundedBody>& parser = impl_->parser;
  const auto bad = [&](BadRequest problem) {
    if (!std::exchange(impl_->header_told, true)) impl_->read_head();  // as far as it came
    impl_->problem = std::move(problem);
    return Progress::kBad;
  };
  if (!parser.got_some()) {
    // Some clients send an empty line behind a body. Methods are words of letters: what begins
    // otherwise, as TLS does, has nothing to wait for.
    while (!bytes.empty() && (bytes[0] == '\r' || bytes[0] == '\n')) bytes.remove_prefix(1);
    if (bytes.empty()) return Progress::kMore;
    const bool letter = (bytes[0] | 0x20) >= 'a' && (bytes[0] | 0x20) <= 'z';
    if (!letter) return bad({400, "The request is not HTTP: it does not begin with a method."});
  }
  while (!parser.is_done() && !bytes.empty()) {
    // A step: lines of the header, the line before a chunk, the end behind the last, or bytes of
    // the body.
    error_code error;
    const size_t body = body_bytes();
    const size_t taken = parser.put({bytes.data(), bytes.size()}, error);
    bytes.remove_prefix(taken);
    if (error && error != http::error::need_more) {
      if (parser.get().body().refused) {
        return bad({503, "The server holds as many request bodies as it may; try again later."});
      }
      return bad(problem_of(error, impl_->limits));
    }
    // Beast limits a header's first line and its fields each, and what is around chunks not at all.
    // What waits for its end counts, so that the limit is the same whatever pieces come.
    const size_t waiting = error ? bytes.size() : 0;
    if (!impl_->header_told) {
      impl_->header_bytes += taken;
      if (impl_->header_bytes + waiting > impl_->limits.header_bytes) {
        return bad(problem_of(http::error::header_limit, impl_->limits));
      }
    } else if (taken - (body_bytes() - body) + waiting > impl_->limits.header_bytes) {
      return bad({400, "The request's chunks are malformed."});
    }
    if (error || (!impl_->header_told && parser.is_header_done())) break;
  }
  if (!parser.is_header_done()) return Progress::kMore;
  if (!std::exchange(impl_->header_told, true)) {
    if (auto problem = impl_->check_header()) return bad(std::move(*problem));
    return Progress::kHeader;
  }
  return parser.is_done() ? Progress::kDone : Progress::kMore;
}

// False where the target is none.
bool RequestReader::Impl::read_head() {
  const auto& message = parser.get();
  request.method = view(message.method_string());
  for (const auto& field : message) {
    request.headers.add(std::string(view(field.name_string())), std::string(view(field.value())));
  }
  const std::string_view sent = view(message.target());
  std::optional<Target> target = read_target(sent);
  if (!target) {
    request.path = sent.substr(0, sent.find_first_of("?#"));
    return false;
  }
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  return true;
}

std::optional<BadRequest> RequestReader::Impl::check_header() {
  const bool has_target = read_head();
  const auto& message = parser.get();
  if (message.version() == 11 && count(http::field::host) != 1) {
    return BadRequest{400, "A request needs one Host field."};
  }
  if (count(http::field::transfer_encoding) > 0 &&
      (message.version() == 10 ||
       !boost::beast::iequals(message[http::field::transfer_encoding], "chunked"))) {
    return BadRequest{501, "The only transfer encoding is chunked."};
  }
  if (count(http::field::content_encoding) > 0 &&
      !boost::beast::iequals(message[http::field::content_encoding], "identity")) {
    return BadRequest{415, "Bodies are taken without a content encoding."};
  }
  if (count(http::field::expect) > 0 &&
      !boost::beast::iequals(message[http::field::expect], "100-continue")) {
    return BadRequest{417, "The only expectation that is met is 100-continue."};
  }
  if (!has_target) {
    return BadRequest{400, "The request's target is not a path with percent-encoding."};
  }
  return std::nullopt;
}

const BadRequest& RequestReader::problem() const {
  return impl_->problem;
}

const HttpRequest& RequestReader::request() const {
  return impl_->request;
}

bool RequestReader::http_1_0() const {
  return impl_->parser.get().version() == 10;
}

bool RequestReader::keep_alive() const {
  return impl_->parser.keep_alive();
}

bool RequestReader::expects_continue() const {
  return !http_1_0() && impl_->count(http::field::expect) > 0 && has_body();
}

bool RequestReader::has_body() const {
  return !impl_->parser.is_done();
}

size_t RequestReader::body_bytes() const {
  return impl_->parser.get().body().text.size();
}

HttpRequest RequestReader::take_request() {
  HttpRequest request = std::move(impl_->request);
  request.body = std::move(impl_->parser.get().body().text);
  return request;
}

BodyShare RequestReader::take_share() {
  return std::move(*impl_->parser.get().body().share);
}

}  // namespace orthrus::server
