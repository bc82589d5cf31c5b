import Basics
import Web

/// Where a plot over time lies within its drawing, and its axis. Times are UTC, as everywhere on the console's plots.
struct PlotFrame: Sendable, Equatable {
  /// On a screen that is wide enough, and on a phone. Text is never scaled down below what can be read.
  enum Size: String, Sendable, CaseIterable {
    case wide, narrow

    var width: Double { self == .wide ? 1_000 : 340 }
    /// Where the names of rows end and the plot begins; on a phone names stand above their rows.
    var left: Double { self == .wide ? 190 : 54 }
    var ticksMax: Int { self == .wide ? 8 : 4 }
  }

  static let right = 12.0
  static let axisHeight = 26.0

  let size: Size
  let from: Timestamp
  let to: Timestamp

  var left: Double { size.left }
  var end: Double { size.width - Self.right }

  func x(_ at: Timestamp) -> Double {
    let whole = max(1, to.since(from).seconds)
    return left + (end - left) * min(1, max(0, at.since(from).seconds / whole))
  }

  /// The steps between two marks of an axis, in seconds.
  private static let steps: [Int64] = [
    300, 600, 900, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 432_000,
  ]

  /// Where the axis has marks: at round times, and not more than fit.
  var ticks: [Timestamp] {
    let whole = Int64(to.since(from).seconds)
    let step = (Self.steps.first { whole / $0 <= Int64(size.ticksMax) } ?? 432_000) * 1_000
    let first = (from.millisecondsSince1970 + step - 1) / step * step
    return stride(from: first, through: to.millisecondsSince1970, by: Int(step)).map {
      Timestamp(millisecondsSince1970: $0)
    }
  }

  func drawAxis(into drawing: inout Drawing, top: Double, bottom: Double) {
    for tick in ticks {
      let x = x(tick)
      drawing.line(x1: x, y1: top, x2: x, y2: bottom, class: "plot-grid")
      // A label that would stick out is left away.
      guard x < end - 12, x > left + 12 else { continue }
      drawing.text(label(tick), x: x, y: bottom + 16, anchor: .middle, class: "plot-soft")
    }
    drawing.text("UTC", x: 2, y: bottom + 16, class: "plot-soft")
  }

  /// `14:05`, or `11-26` where days count.
  private func label(_ at: Timestamp) -> String {
    let text = at.description
    let isDays = to.since(from) > .seconds(2 * 86_400)
    return isDays ? String(text.dropFirst(5).prefix(5)) : String(text.dropFirst(11).prefix(5))
  }

  /// `11-26 14:05`, or `11-26 14:05:09`.
  static func moment(_ at: Timestamp, seconds: Bool = false) -> String {
    let text = at.description
    return text.dropFirst(5).prefix(5) + " " + text.dropFirst(11).prefix(seconds ? 8 : 5)
  }
}
