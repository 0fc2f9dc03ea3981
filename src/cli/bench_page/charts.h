// Pictures in inline SVG, in the colours of the page's style.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace orthrus::cli::bench_page {

// Columns over whole numbers, each of parts that lie on one another.
struct ColumnChart {
  struct Column {
    std::string label;
    std::vector<double> parts;  // of as many classes as there are
    std::string note;           // shown where one points at it
    bool faint = false;         // of so little that it says hardly anything
  };
  std::string title;                 // what it shows, for those who do not see it
  std::vector<std::string> classes;  // of the parts: colours of the style
  std::vector<Column> columns;
  std::string x_axis;                               // what the labels are
  std::optional<double> top;                        // of the y axis; none: what suits the columns
  std::function<std::string(double)> y_label = {};  // none: whole numbers
};
std::string in_svg(const ColumnChart& chart);

// A point of each pass under the roof that bytes and operations make, on logarithmic axes.
struct RoofChart {
  struct Point {
    std::string label, note;
    double intensity = 0, flops = 0;  // operations a byte, operations a second
    bool draft = false;
  };
  std::string title;
  double bytes = 0;           // a second
  std::vector<double> roofs;  // operations a second; none: not known
  std::vector<Point> points;
};
std::string in_svg(const RoofChart& chart);

}  // namespace orthrus::cli::bench_page
