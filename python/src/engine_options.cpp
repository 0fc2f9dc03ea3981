#include "engine_options.h"

#include <algorithm>
#include <cctype>

namespace orthrus::python {

Device parse_device(const std::string& text) {
  if (same_letters(text, "auto")) {
    return cuda_devices() > 0 ? Device{Device::Kind::kCuda, 0} : Device{};
  }
  if (const std::optional<Device> device = device_in(text)) return *device;
  throw Error(ErrorKind::kUsage,
              fmt::format("device is '{}'; valid is cpu, cuda, cuda:N or auto.", text));
}

std::string spelled(DType type) {
  std::string name(name_of(type));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

}  // namespace orthrus::python
