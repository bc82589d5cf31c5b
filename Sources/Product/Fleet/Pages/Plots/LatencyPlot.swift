import Basics
import Web

/// Draws how long the checks of an Instance took, a row for each link of the chain, under a band of its statuses.
///
/// Each row has its own scale, from zero. A line joins checks that follow each other; where nobody looked there is
/// none. A failed check is a cross at the top of its row. A status is told by height, mark and word; its colour only
/// helps.
enum LatencyPlot {
  private static let bandHeight = 22.0
  private static let top = 26.0
  private static let rowGap = 20.0
  private static let legendHeight = 22.0

  /// What is drawn of a view.
  enum Subject: Sendable {
    /// The whole links, each with its own scale, under the band of statuses.
    case links
    /// The parts of asking the Gateway, all with one scale, so that they can be compared.
    case opening
  }

  static func draw(_ view: LatencyView, _ subject: Subject = .links, size: PlotFrame.Size, id: Slug) -> Drawing {
    let rowHeight = size == .wide ? 54.0 : 50.0
    let head = size == .wide ? 0.0 : 18.0
    let isLinks = subject == .links
    let phases = isLinks ? view.links : view.opening
    let rowsTop = isLinks ? top + bandHeight + legendHeight : 0
    let bottom = rowsTop + Double(phases.count) * (rowHeight + rowGap + head)
    let frame = PlotFrame(size: size, from: view.from, to: view.to)
    var drawing = Drawing(
      id, width: size.width, height: bottom + PlotFrame.axisHeight,
      title: isLinks
        ? "Latency of checks over the last \(view.window.words)"
        : "Opening the Gateway WebSocket, part by part, over the last \(view.window.words)",
      description: describe(isLinks ? view.statuses : nil, phases))
    frame.drawAxis(into: &drawing, top: isLinks ? top : rowGap, bottom: bottom)
    if isLinks { drawBand(view, frame, into: &drawing) }
    let shared = isLinks ? nil : most(phases)
    for (number, phase) in phases.enumerated() {
      let y = rowsTop + Double(number) * (rowHeight + rowGap + head) + rowGap + head
      draw(phase, frame, top: y, height: rowHeight, most: shared ?? most([phase]), into: &drawing)
    }
    return drawing
  }

  // MARK: - Statuses

  private static func mark(_ status: Status) -> String {
    switch status {
    case .current: "●"
    case .stale: "◐"
    case .unreachable: "✕"
    case .degraded: "▲"
    case .unknown: "?"
    }
  }

  /// The worse, the higher; what is not known is an outline.
  private static func height(_ status: Status) -> Double {
    switch status {
    case .current: 6
    case .stale: 10
    case .degraded: 15
    case .unreachable, .unknown: bandHeight
    }
  }

  private static func drawBand(_ view: LatencyView, _ frame: PlotFrame, into drawing: inout Drawing) {
    drawing.text("Status", x: 2, y: frame.size == .wide ? top + 16 : top - 8, class: "plot-name")
    for span in view.statuses {
      let (x, height) = (frame.x(span.from), height(span.status))
      // A status of a second must still be seen.
      let width = max(1.5, frame.x(span.to) - x)
      let y = top + bandHeight - height
      let tip =
        "\(span.status.rawValue)\(span.flapping ? ", flapping" : ""), "
        + "\(PlotFrame.moment(span.from)) to \(PlotFrame.moment(span.to)) UTC"
      switch span.status {
      case .current: drawing.rectangle(x: x, y: y, width: width, height: height, class: "plot-current", tip: tip)
      case .stale: drawing.rectangle(x: x, y: y, width: width, height: height, class: "plot-stale", tip: tip)
      case .degraded: drawing.rectangle(x: x, y: y, width: width, height: height, class: "plot-degraded", tip: tip)
      case .unreachable:
        drawing.rectangle(x: x, y: y, width: width, height: height, class: "plot-unreachable", tip: tip)
      case .unknown: drawing.rectangle(x: x, y: y, width: width, height: height, class: "plot-unknown", tip: tip)
      }
    }
    drawLabels(view.statuses, frame, into: &drawing)
  }

  /// The mark and word of each status under its beginning, where they fit; the newest always has its own.
  private static func drawLabels(_ spans: [StatusSpan], _ frame: PlotFrame, into drawing: inout Drawing) {
    guard let newest = spans.last else { return }
    let y = top + bandHeight + 16
    func word(_ span: StatusSpan) -> String {
      "\(mark(span.status)) \(span.status.rawValue)\(span.flapping ? ", flapping" : "")"
    }
    func width(_ span: StatusSpan) -> Double { Double(word(span).count) * 7.2 + 10 }
    let last = frame.end - width(newest)
    var free = frame.left
    for span in spans {
      let x = frame.x(span.from)
      guard span != newest else {
        let fits = x <= last
        drawing.text(
          word(span), x: fits ? max(x, free) : frame.end, y: y, anchor: fits ? .start : .end, class: "plot-soft")
        return
      }
      guard x >= free, x + width(span) <= min(last, frame.x(newest.from)) else { continue }
      drawing.text(word(span), x: x, y: y, class: "plot-soft")
      free = x + width(span)
    }
  }

  // MARK: - One link

  private static func most(_ phases: [LatencyView.Phase]) -> Int64 {
    phases.flatMap(\.points).compactMap(\.maxMilliseconds).max() ?? 0
  }

  private static func draw(
    _ phase: LatencyView.Phase, _ frame: PlotFrame, top: Double, height: Double, most: Int64,
    into drawing: inout Drawing
  ) {
    let scale = roundUp(most)
    func y(_ milliseconds: Int64) -> Double { top + height * (1 - Double(milliseconds) / Double(scale)) }
    drawing.line(x1: frame.left, y1: top + height, x2: frame.end, y2: top + height, class: "plot-axis")
    drawing.line(x1: frame.left, y1: top, x2: frame.end, y2: top, class: "plot-grid")
    drawing.text(words(scale), x: frame.left - 5, y: top + 4, anchor: .end, class: "plot-soft")
    drawing.text("0", x: frame.left - 5, y: top + height + 4, anchor: .end, class: "plot-soft")
    let isWide = frame.size == .wide
    drawing.text(phase.title, x: 2, y: isWide ? top + 24 : top - 12, class: "plot-name")
    if isWide {
      drawing.text(newest(phase), x: 2, y: top + 42, class: "plot-soft")
    } else {
      drawing.text(newest(phase), x: frame.end, y: top - 12, anchor: .end, class: "plot-soft")
    }
    for run in phase.runs {
      let good = run.split { $0.medianMilliseconds == nil }.map(Array.init)
      for stretch in good { draw(stretch, frame, y, into: &drawing) }
    }
    for point in phase.points where point.failed > 0 {
      let x = frame.x(point.at)
      drawing.line(x1: x - 3.5, y1: top - 3.5, x2: x + 3.5, y2: top + 3.5, class: "plot-failed")
      drawing.line(x1: x - 3.5, y1: top + 3.5, x2: x + 3.5, y2: top - 3.5, class: "plot-failed")
    }
  }

  private static func draw(
    _ points: [LatencyView.Point], _ frame: PlotFrame, _ y: (Int64) -> Double, into drawing: inout Drawing
  ) {
    let medians = points.map { (x: frame.x($0.at), y: y($0.medianMilliseconds ?? 0)) }
    if points.contains(where: { $0.minMilliseconds != $0.maxMilliseconds }) {
      let upper = points.map { (x: frame.x($0.at), y: y($0.maxMilliseconds ?? 0)) }
      let lower = points.map { (x: frame.x($0.at), y: y($0.minMilliseconds ?? 0)) }
      if points.count > 1 { drawing.polygon(upper + lower.reversed(), class: "plot-range") }
    }
    if medians.count == 1 {
      drawing.circle(x: medians[0].x, y: medians[0].y, radius: 2.5, class: "plot-dot")
    } else {
      drawing.polyline(medians, class: "plot-line")
    }
  }

  /// The next of 1, 2, 5, 10, 20, 50 and so on.
  static func roundUp(_ milliseconds: Int64) -> Int64 {
    var step: Int64 = 1
    while true {
      for factor in [1, 2, 5] where step * Int64(factor) >= milliseconds { return step * Int64(factor) }
      step *= 10
    }
  }

  static func words(_ milliseconds: Int64) -> String {
    milliseconds >= 1_000 && milliseconds.isMultiple(of: 100)
      ? (milliseconds.isMultiple(of: 1_000)
        ? "\(milliseconds / 1_000) s" : "\(milliseconds / 1_000).\(milliseconds % 1_000 / 100) s")
      : "\(milliseconds) ms"
  }

  private static func newest(_ phase: LatencyView.Phase) -> String {
    guard let last = phase.points.last else { return "" }
    return last.medianMilliseconds.map { "newest \($0) ms" } ?? "newest failed"
  }

  // MARK: - In words

  private static func describe(_ spans: [StatusSpan]?, _ phases: [LatencyView.Phase]) -> String {
    let statuses = (spans ?? []).map { span in
      "\(span.status.rawValue)\(span.flapping ? " and flapping" : "") from \(PlotFrame.moment(span.from))"
    }
    // What somebody listens to must end.
    let told = statuses.suffix(12)
    let omitted = statuses.count - told.count
    let times = phases.map { phase in
      let medians = phase.points.compactMap(\.medianMilliseconds).sorted()
      let failed = phase.points.map(\.failed).reduce(0, +)
      let took = medians.isEmpty ? "none succeeded" : "median \(medians[(medians.count - 1) / 2]) ms"
      return "\(phase.title): \(took), \(failed) failed."
    }
    let first = omitted > 0 ? ["\(omitted) earlier statuses"] : []
    let status = spans == nil ? [] : ["Status: " + (first + told).joined(separator: ", ") + "."]
    return (["Times are UTC."] + status + times).joined(separator: " ")
  }
}
