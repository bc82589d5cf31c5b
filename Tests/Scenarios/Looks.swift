import Basics
import Foundation
import Testing

extension Browser {
  /// At desktop and phone width, light and dark: nothing sticks out or has to be scrolled sideways, no text is too faint,
  /// and every field and button has a name.
  ///
  /// - Parameter url: what is opened anew for each look; without it the page that is shown stays.
  /// - Returns: a picture of each look.
  @discardableResult
  func looks(_ name: String, opening url: String? = nil) async throws -> Set<Data> {
    var pictures: Set<Data> = []
    for (width, height) in [(1_280, 800), (390, 844)] {
      for dark in [false, true] {
        try await look(width: width, height: height, dark: dark)
        if let url { try await open(url) }
        let overflow = try await run(
          "const root = document.documentElement; return root.scrollWidth - root.clientWidth"
        ).intValue
        #expect(overflow == 0, "\(name) at \(width)")
        #expect(try await run(Self.sideways).stringValue == "", "\(name) at \(width)")
        #expect(try await run(Self.nameless).stringValue == "", "\(name)")
        let dim = try await run(Self.faintest).doubleValue ?? 0
        #expect(dim >= 4.5, "\(name) at \(width), dark: \(dark): the faintest text has a contrast of \(dim)")
        let picture = try await screenshot()
        #expect(picture.count > 5_000)
        pictures.insert(picture)
        try await keep("\(name)-\(width)-\(dark ? "dark" : "light")")
      }
    }
    try await look(width: 1_280, height: 800, dark: false)
    return pictures
  }

  /// For whoever wants to look for themselves: all of the page, in the folder `AW_PICTURES`.
  private func keep(_ name: String) async throws {
    guard let folder = ProcessInfo.processInfo.environment["AW_PICTURES"] else { return }
    let file = name.replacing("/", with: "_").replacing("?", with: "_")
    try await wholePage().write(to: URL(filePath: "\(folder)/\(file).png"))
  }

  /// Fields without a label, and what can be pressed but says nothing (WCAG 2.2, success criterion 4.1.2).
  private static let nameless = """
    const fields = [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
      .filter((one) => !one.ariaLabel && !one.labels?.length);
    const silent = [...document.querySelectorAll("a, button")].filter((one) => !one.ariaLabel && !one.textContent.trim());
    return [...fields, ...silent].map((one) => one.outerHTML.slice(0, 60)).join(" ");
    """

  /// What of a page can only be read by scrolling it sideways; a program's own output may.
  private static let sideways = """
    return [...document.querySelectorAll("body *")]
      .filter((one) => one.scrollWidth > one.clientWidth + 1 && !one.matches("pre")
        && ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
      .map((one) => one.outerHTML.slice(0, 60)).join(" ");
    """

  /// The lowest contrast of any text on the page against what lies behind it (WCAG 2.2, relative luminance).
  private static let faintest = """
    const channel = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || colour[3] > 0) return colour;
      }
      return [255, 255, 255];
    };
    let least = 21;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(":disabled")) continue;
      const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
      least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
    }
    return least;
    """
}
