#include "stream.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <new>
#include <utility>

#include "orthrus/error.h"
#include "released.h"
#include "results.h"

namespace nb = nanobind;

namespace orthrus::python {
namespace {

StepNews copied(const Step& step) {
  return {.tokens = {step.tokens.begin(), step.tokens.end()},
          .text = std::string(step.text),
          .drafted = step.drafted,
          .accepted = step.accepted,
          .logprobs = {step.logprobs.begin(), step.logprobs.end()}};
}

nb::object tuple_of(StepNews step) {
  const nb::object logprobs = step.logprobs.empty() ? nb::none() : python::tuple_of(step.logprobs);
  return nb::make_tuple(step.text, array_of(std::move(step.tokens)), step.drafted, step.accepted,
                        logprobs);
}

}  // namespace

template <class Change>
bool Stream::News::add(const Change& change) {
  bool kept;
  {
    const std::lock_guard lock(mutex);
    try {
      change();
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
    }
    kept = !out_of_memory;
  }
  // Without the lock, for which the one who wakes would wait at once, and be woken twice.
  changed.notify_all();
  if (listener.waker) listener.waker->post(listener.key);
  return kept;
}

Stream::Stream(std::shared_ptr<Host> host, Request request, bool steps, Listener listener)
    : host_(std::move(host)), news_(std::make_shared<News>()) {
  news_->listener = std::move(listener);
  if (steps) {
    request.on_step = [news = news_](const Step& step) {
      return news->add([&] { news->steps.push_back(copied(step)); });
    };
  }
  id_ = host_->engine()->submit(std::move(request), [news = news_](Generation generation) {
    news->add([&] { news->result = std::make_shared<const Generation>(std::move(generation)); });
  });
}

void Stream::wait() const {
  constexpr auto kSlice = std::chrono::milliseconds(100);
  host_->check_process();
  for (;;) {
    {
      const Released released;
      std::unique_lock lock(news_->mutex);
      if (news_->changed.wait_for(lock, kSlice, [&] { return news_->waiting(); })) return;
    }
    if (interpreter_ends()) throw Error(ErrorKind::kSystem, "The interpreter ends.");
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

std::vector<StepNews> Stream::take() {
  const std::lock_guard lock(news_->mutex);
  if (news_->out_of_memory) throw std::bad_alloc();
  return std::exchange(news_->steps, {});
}

std::shared_ptr<const Generation> Stream::result() const {
  const std::lock_guard lock(news_->mutex);
  return news_->result;
}

void Stream::cancel() {
  if (host_->closed() || result() != nullptr) return;
  try {
    host_->engine()->cancel(id_);
  } catch (const Error&) {  // closed in the meantime, which has cancelled it
  }
}

void bind_streams(nb::module_& module) {
  nb::class_<WakerHandle>(module, "Waker")
      .def(nb::init<>())
      .def("fileno", [](const WakerHandle& handle) { return handle.waker->descriptor(); })
      .def("take", [](const WakerHandle& handle) { return handle.waker->take(); });
  nb::class_<Stream>(module, "Stream")
      .def("wait", &Stream::wait)
      .def("take",
           [](Stream& stream) {
             nb::list steps;
             for (StepNews& step : stream.take()) steps.append(tuple_of(std::move(step)));
             return steps;
           })
      .def("result",
           [](const Stream& stream) -> nb::object {
             const auto result = stream.result();
             return result == nullptr ? nb::none() : nb::cast(Result{result});
           })
      .def("cancel", &Stream::cancel, nb::call_guard<Released>());
}

}  // namespace orthrus::python
