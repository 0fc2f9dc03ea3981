#include "cli/bench_page/charts.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cli/bench_page/html.h"

namespace orthrus::cli::bench_page {
namespace {

// Of the drawing, in its own units.
struct Frame {
  double width, height, left, right, top, bottom;

  double x_end() const { return width - right; }
  double y_end() const { return height - bottom; }
  double inner_width() const { return x_end() - left; }
  double inner_height() const { return y_end() - top; }
};

constexpr Frame kColumnFrame{400, 210, 40, 8, 12, 40};
constexpr Frame kRoofFrame{480, 320, 58, 16, 14, 44};

std::string opening(const Frame& frame, const std::string& title) {
  return fmt::format(
      "<svg viewBox=\"0 0 {0:g} {1:g}\" role=\"img\" aria-label=\"{2}\"><title>{2}</title>\n",
      frame.width, frame.height, html_text(title));
}

std::string label(double x, double y, std::string_view anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     html_text(text));
}

std::string grid_line(double x1, double y1, double x2, double y2, std::string_view style = "grid") {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style, x1,
      y1, x2, y2);
}

// 1, 2 or 5 times a power of ten, at least 1, so that about four of them make `top`.
double step_for(double top) {
  double step = 1;
  for (int i = 0; top / step > 5; ++i) step *= i % 3 == 1 ? 2.5 : 2;
  return step;
}

// "1.5 T", of what is about to be a second.
std::string with_prefix(double value) {
  constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P"};
  size_t i = 0;
  for (; value >= 999.5 && i + 1 < std::size(kPrefixes); ++i) value /= 1000;
  return fmt::format("{:.3g} {}", value, kPrefixes[i]);
}

double sum_of(const ColumnChart::Column& column) {
  return std::accumulate(column.parts.begin(), column.parts.end(), 0.0);
}

// A logarithmic axis, from and to whole powers of ten or between them.
struct LogAxis {
  double low, high, start, end;  // values, and where they lie

  double at(double value) const {
    return start + (std::log(value / low) / std::log(high / low)) * (end - start);
  }
  // 1, 2 and 5 times powers of ten, or these alone where that would be many.
  std::vector<double> ticks() const {
    std::vector<double> ticks;
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double tick = factor * power;
        const bool wanted = factor == 1 || high / low < 2000;
        if (wanted && tick >= low && tick <= high) ticks.push_back(tick);
      }
    }
    return ticks;
  }
};

}  // namespace

std::string in_svg(const ColumnChart& chart) {
  const Frame& f = kColumnFrame;
  double most = 0;
  for (const auto& column : chart.columns) most = std::max(most, sum_of(column));
  const double step = chart.top ? *chart.top / 4 : step_for(std::max(most, 1.0));
  const double top = chart.top.value_or(std::ceil(std::max(most, 1.0) / step) * step);
  const auto y_of = [&](double value) { return f.y_end() - value / top * f.inner_height(); };
  std::string svg = opening(f, chart.title);
  for (double tick = 0; tick < top * 1.001; tick += step) {
    svg += grid_line(f.left, y_of(tick), f.x_end(), y_of(tick), tick == 0 ? "axis" : "grid");
    svg += label(f.left - 6, y_of(tick) + 4, "end",
                 chart.y_label ? chart.y_label(tick) : fmt::format("{:g}", tick));
  }
  const size_t count = chart.columns.size();
  const double pitch = f.inner_width() / static_cast<double>(std::max<size_t>(count, 6));
  const double width = std::min(pitch * 0.72, 34.0);
  const size_t every = count > 16 ? 4 : count > 10 ? 2 : 1;
  for (size_t i = 0; i < count; ++i) {
    const auto& column = chart.columns[i];
    const double middle = f.left + (static_cast<double>(i) + 0.5) * pitch;
    svg += fmt::format("<g{}><title>{}</title>\n", column.faint ? " class=\"faint\"" : "",
                       html_text(column.note));
    double below = 0;
    for (size_t part = 0; part < column.parts.size(); ++part) {
      if (column.parts[part] <= 0) continue;
      const double y = y_of(below + column.parts[part]);
      svg += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
          chart.classes[part], middle - width / 2, y, width, y_of(below) - y);
      below += column.parts[part];
    }
    svg += "</g>\n";
    if (i % every == 0) svg += label(middle, f.y_end() + 16, "middle", column.label);
  }
  return svg + label(f.left + f.inner_width() / 2, f.height - 6, "middle", chart.x_axis) +
         "</svg>\n";
}

std::string in_svg(const RoofChart& chart) {
  const Frame& f = kRoofFrame;
  double low = 1e300, high = 0, bottom = 1e300, top = 0;
  for (const auto& point : chart.points) {
    low = std::min(low, point.intensity);
    high = std::max(high, point.intensity);
    bottom = std::min(bottom, point.flops);
    top = std::max(top, point.flops);
  }
  for (const double roof : chart.roofs) {
    top = std::max(top, roof);
    high = std::max(high, roof / chart.bytes);
  }
  const LogAxis x{low / 2, high * 2, f.left, f.x_end()};
  const LogAxis y{bottom / 2, top * 2, f.y_end(), f.top};
  std::string svg = opening(f, chart.title);
  for (const double tick : y.ticks()) {
    svg += grid_line(f.left, y.at(tick), f.x_end(), y.at(tick));
    svg += label(f.left - 6, y.at(tick) + 4, "end", with_prefix(tick));
  }
  for (const double tick : x.ticks()) {
    svg += grid_line(x.at(tick), f.top, x.at(tick), f.y_end());
    svg += label(x.at(tick), f.y_end() + 16, "middle", fmt::format("{:g}", tick));
  }
  svg += label(f.left + f.inner_width() / 2, f.height - 6, "middle", "operations a byte");
  // The slope of memory, from where it comes into the picture to the highest roof.
  const double end =
      chart.roofs.empty() ? x.high : *std::ranges::max_element(chart.roofs) / chart.bytes;
  const double begin = std::max(x.low, y.low / chart.bytes);
  svg +=
      grid_line(x.at(begin), y.at(begin * chart.bytes), x.at(end), y.at(end * chart.bytes), "roof");
  const double middle = std::sqrt(begin * end);
  svg += label(x.at(middle) - 8, y.at(middle * chart.bytes) - 4, "end",
               with_prefix(chart.bytes) + "B/s");
  for (const double roof : chart.roofs) {
    svg += grid_line(x.at(roof / chart.bytes), y.at(roof), f.x_end(), y.at(roof), "roof");
    svg += label(f.x_end(), y.at(roof) - 6, "end", with_prefix(roof) + "FLOP/s");
  }
  for (const auto& point : chart.points) {
    const double px = x.at(point.intensity), py = y.at(point.flops);
    svg += fmt::format("<g><title>{}</title>", html_text(point.note));
    if (point.draft) {
      svg += fmt::format("<path class=\"block\" d=\"M{:.1f} {:.1f}l5.5 5.5 -5.5 5.5 -5.5 -5.5z\"/>",
                         px, py - 5.5);
    } else {
      svg += fmt::format("<circle class=\"ink\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\"/>", px, py);
    }
    svg += "</g>\n";
    svg += point.draft ? label(px + 8, py + 12, "start", point.label)
                       : label(px - 8, py - 4, "end", point.label);
  }
  return svg + "</svg>\n";
}

}  // namespace orthrus::cli::bench_page
