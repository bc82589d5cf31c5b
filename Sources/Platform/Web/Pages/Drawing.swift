import Basics
import Foundation

/// A picture that the server draws: an SVG, without script and without colours of its own.
///
/// What it shows is text and numbers, escaped here, so that a page may hold it as it is. Its colours are classes of
/// `aw.css`, which follow the theme. It has a title and a description for whoever cannot see it.
public struct Drawing: Sendable, Equatable {
  public let width: Double
  public let height: Double
  private let id: String
  private let title: String
  private let description: String
  private var body: [String] = []

  /// - Parameter id: unique on its page.
  public init(_ id: Slug, width: Double, height: Double, title: String, description: String) {
    (self.id, self.width, self.height) = (id.text, width, height)
    (self.title, self.description) = (title, description)
  }

  public var svg: String {
    let head = """
      <svg class="plot" viewBox="0 0 \(Self.number(width)) \(Self.number(height))" role="img" \
      aria-labelledby="\(id)-title \(id)-desc" xmlns="http://www.w3.org/2000/svg">
      <title id="\(id)-title">\(Self.escape(title))</title>
      <desc id="\(id)-desc">\(Self.escape(description))</desc>
      """
    return ([head] + body + ["</svg>"]).joined(separator: "\n")
  }

  /// - Parameter tip: shown where a pointer rests on it.
  public mutating func rectangle(
    x: Double, y: Double, width: Double, height: Double, class name: StaticString, tip: String? = nil
  ) {
    let box = [("x", x), ("y", y), ("width", width), ("height", height)]
    element("rect", name, box, tip: tip)
  }

  public mutating func line(x1: Double, y1: Double, x2: Double, y2: Double, class name: StaticString) {
    element("line", name, [("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)])
  }

  public mutating func circle(x: Double, y: Double, radius: Double, class name: StaticString, tip: String? = nil) {
    element("circle", name, [("cx", x), ("cy", y), ("r", radius)], tip: tip)
  }

  /// A line through these points.
  public mutating func polyline(_ points: [(x: Double, y: Double)], class name: StaticString) {
    body.append("<polyline class=\"\(name)\" points=\"\(Self.points(points))\"/>")
  }

  /// The area within these points.
  public mutating func polygon(_ points: [(x: Double, y: Double)], class name: StaticString) {
    body.append("<polygon class=\"\(name)\" points=\"\(Self.points(points))\"/>")
  }

  public enum Anchor: String, Sendable {
    case start, middle, end
  }

  public mutating func text(
    _ text: String, x: Double, y: Double, anchor: Anchor = .start, class name: StaticString
  ) {
    let place = "x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" text-anchor=\"\(anchor.rawValue)\""
    body.append("<text class=\"\(name)\" \(place)>\(Self.escape(text))</text>")
  }

  private mutating func element(
    _ element: StaticString, _ name: StaticString, _ attributes: [(String, Double)], tip: String? = nil
  ) {
    let all = attributes.map { " \($0)=\"\(Self.number($1))\"" }.joined()
    let end = tip.map { "><title>\(Self.escape($0))</title></\(element)>" } ?? "/>"
    body.append("<\(element) class=\"\(name)\"\(all)\(end)")
  }

  private static func points(_ points: [(x: Double, y: Double)]) -> String {
    points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
  }

  /// A tenth of a pixel is as fine as anybody sees.
  private static func number(_ value: Double) -> String {
    let tenths = Int64((value * 10).rounded())
    let (whole, rest) = tenths.magnitude.quotientAndRemainder(dividingBy: 10)
    return (tenths < 0 ? "-" : "") + (rest == 0 ? "\(whole)" : "\(whole).\(rest)")
  }

  private static func escape(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }
}
