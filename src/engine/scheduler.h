// Runs jobs to their end, all that are not done sharing each pass.
#pragma once

#include <span>

#include "backends/device_model.h"
#include "engine/job.h"

namespace orthrus {

// kDeviceLost where the device failed, and with it all jobs that were not done; else kOk. Throws
// what the requests' callbacks throw.
Status run_jobs(Lane& lane, std::span<Job* const> jobs);

}  // namespace orthrus
