import Basics
import Link
import Web

/// Draws the losses of a Host's link, a row for each class: a bar lasts as long as the Host had no link.
enum LossPlot {
  private static let rowHeight = 16.0
  private static let rowGap = 14.0

  static func draw(_ view: LossHistoryView, size: PlotFrame.Size, id: Slug) -> Drawing {
    let head = size == .wide ? 0.0 : 18.0
    let top = 8.0
    let bottom = top + Double(max(1, view.classes.count)) * (rowHeight + rowGap + head)
    let frame = PlotFrame(size: size, from: view.from, to: view.to)
    var drawing = Drawing(
      id, width: size.width, height: bottom + PlotFrame.axisHeight,
      title: "Losses of the link over the last \(view.window.words)", description: describe(view))
    frame.drawAxis(into: &drawing, top: top, bottom: bottom)
    for (number, one) in view.classes.enumerated() {
      let y = top + Double(number) * (rowHeight + rowGap + head) + head + 4
      let name = "\(one.lossClass.rawValue) × \(one.losses.count)"
      drawing.text(name, x: 2, y: head == 0 ? y + 12 : y - 6, class: "plot-name")
      drawing.line(
        x1: frame.left, y1: y + rowHeight, x2: frame.end, y2: y + rowHeight, class: "plot-axis")
      for loss in one.losses {
        let (start, end) = (frame.x(loss.at), frame.x(loss.until ?? view.to))
        let tip =
          "\(PlotFrame.moment(loss.at)) UTC, "
          + (loss.until.map { "back after \($0.since(loss.at).words)" } ?? "no link yet")
        // A hiccup of a second must still be seen.
        drawing.rectangle(
          x: start, y: y, width: max(2, end - start), height: rowHeight, class: "plot-loss", tip: tip)
      }
    }
    return drawing
  }

  private static func describe(_ view: LossHistoryView) -> String {
    guard !view.classes.isEmpty else { return "No loss." }
    return view.classes.map { one in
      let times = one.losses.count == 1 ? "once" : "\(one.losses.count) times"
      return "\(one.lossClass.rawValue) \(times), "
        + "\(Duration.milliseconds(one.outageMilliseconds).words) without a link."
    }.joined(separator: " ")
  }
}
