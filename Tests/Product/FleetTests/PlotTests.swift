import Basics
import Foundation
import Link
import OpenClaw
import Testing
import Web

@testable import Fleet

@Suite("Plots, drawn on the server")
struct PlotTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Plots")
  static let root = folder.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Compares; with `AW_UPDATE_GOLDEN=1` writes the file instead.
  static func check(_ name: String, _ actual: String) throws {
    let file = folder.appending(path: name)
    if ProcessInfo.processInfo.environment["AW_UPDATE_GOLDEN"] == "1" {
      try (actual + "\n").write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(actual + "\n" == (try String(contentsOf: file, encoding: .utf8)), "Plots/\(name)")
  }

  /// An hour with a good part, a gap in which nobody looked, and an outage with failures.
  static func hour() -> LatencyView {
    let start = StatusTests.start.millisecondsSince1970
    func at(_ minute: Int) -> Timestamp { Timestamp(millisecondsSince1970: start + Int64(minute) * 60_000) }
    func sample(_ minute: Int) -> CheckSample {
      let isDown = (45..<50).contains(minute)
      func phase(_ base: Int64) -> CheckSample.Phase {
        let took = base + Int64(minute % 7)
        return .init(
          looked: 1, failed: isDown ? 1 : 0, took: isDown ? nil : .init(least: took, median: took, most: took))
      }
      var phases: [ChainLink: CheckSample.Phase] = [.runtime: phase(2), .live: phase(3), .hello: phase(14)]
      if minute.isMultiple(of: 10) { phases[.turn] = phase(900) }
      let parts: [OpeningPart: CheckSample.Phase] = [
        .tcp: phase(1), .tls: phase(3), .upgrade: phase(2), .greeting: phase(8),
      ]
      return CheckSample(at: at(minute), span: .zero, phases: phases, parts: isDown ? [:] : parts)
    }
    let samples = (Array(0..<20) + Array(30..<60)).map(sample)
    let transitions: [StatusSpan.Transition] = [
      .init(at: at(-9), to: .current, flapping: false), .init(at: at(46), to: .unreachable, flapping: false),
      .init(at: at(51), to: .degraded, flapping: true), .init(at: at(57), to: .current, flapping: false),
    ]
    return LatencyView.of(
      samples, transitions, window: .hour, policy: StatusPolicy(), apart: .zero, now: at(60))
  }

  static func day() -> LatencyView {
    let samples = (0..<1_440).map { minute in
      HistoryTests.sample(minute * 60, hello: 10 + Int64(minute % 11) * Int64(minute % 3))
    }
    return LatencyView.of(
      samples, [.init(at: StatusTests.at(-9), to: .current, flapping: false)], window: .day, policy: StatusPolicy(),
      apart: .zero, now: StatusTests.at(86_400))
  }

  static func losses() throws -> LossHistoryView {
    func loss(_ hour: Int, _ lossClass: LossClass, back: Int?) throws -> Loss {
      let at = StatusTests.at(hour * 3_600)
      let id = try #require(LossID("00000000-0000-7000-8000-0000000000\(String(format: "%02d", hour))"))
      return Loss(
        id: id, host: .make(at: at), seen: LossEvidence(observer: .gateway, phase: .established, at: at, detail: ""),
        account: nil, verdict: LossVerdict(lossClass, by: .account), calledFirst: nil,
        recoveredAt: back.map { StatusTests.at(hour * 3_600 + $0) })
    }
    let losses = [
      try loss(23, .networkBlackhole, back: nil), try loss(20, .connectorCrash, back: 4),
      try loss(9, .networkBlackhole, back: 7_200), try loss(3, .connectorCrash, back: 3),
    ]
    return LossHistoryView.of(losses, window: .day, from: StatusTests.at(0), to: StatusTests.at(86_400))
  }

  @Test("latency and losses are drawn as they always were", arguments: PlotFrame.Size.allCases)
  func golden(size: PlotFrame.Size) throws {
    let id = try Slug("plot")
    try Self.check("latency-1h-\(size).svg", LatencyPlot.draw(Self.hour(), size: size, id: id).svg)
    try Self.check("latency-24h-\(size).svg", LatencyPlot.draw(Self.day(), size: size, id: id).svg)
    try Self.check("opening-1h-\(size).svg", LatencyPlot.draw(Self.hour(), .opening, size: size, id: id).svg)
    try Self.check("losses-\(size).svg", LossPlot.draw(try Self.losses(), size: size, id: id).svg)
  }

  @Test("nothing lies outside of the drawing", arguments: PlotFrame.Size.allCases)
  func inside(size: PlotFrame.Size) throws {
    for drawing in [
      LatencyPlot.draw(Self.hour(), size: size, id: try Slug("plot")),
      LatencyPlot.draw(Self.hour(), .opening, size: size, id: try Slug("plot")),
      LossPlot.draw(try Self.losses(), size: size, id: try Slug("plot")),
    ] {
      for match in drawing.svg.matches(of: /\ (x|x1|x2|cx)="(-?[0-9.]+)"/) {
        let x = try #require(Double(match.output.2))
        #expect((0...drawing.width).contains(x))
      }
      for match in drawing.svg.matches(of: /\ (y|y1|y2|cy)="(-?[0-9.]+)"/) {
        let y = try #require(Double(match.output.2))
        #expect((0...drawing.height).contains(y))
      }
    }
  }

  @Test("it says in words what it shows, and a gap is no line")
  func words() throws {
    let svg = LatencyPlot.draw(Self.hour(), size: .wide, id: try Slug("plot")).svg
    #expect(svg.contains("<title id=\"plot-title\">Latency of checks over the last 1 hour</title>"))
    #expect(svg.contains("unreachable from") && svg.contains("degraded and flapping from"))
    #expect(svg.contains("unknown from"), "nobody looked for ten minutes")
    // Two gaps make three lines of each row that is looked at every minute.
    #expect(svg.matches(of: /<polyline class="plot-line"/).count >= 9)
  }

  // MARK: - Both themes

  @Test("every class of a drawing has colours of the theme, which stand out from the page in light and in dark")
  func themes() throws {
    let css = try String(
      contentsOf: Self.root.appending(path: "Sources/Platform/Web/Assets/aw.css"), encoding: .utf8)
    let parts = css.split(separator: "@media (prefers-color-scheme: dark) {", maxSplits: 1)
    let themes = [Self.variables(String(try #require(parts.first))), Self.variables(String(try #require(parts.last)))]
    let svg = try PlotFrame.Size.allCases.flatMap { size in
      [
        LatencyPlot.draw(Self.hour(), size: size, id: try Slug("plot")).svg,
        LatencyPlot.draw(Self.day(), size: size, id: try Slug("plot")).svg,
        LossPlot.draw(try Self.losses(), size: size, id: try Slug("plot")).svg,
      ]
    }.joined()
    let classes = Set(svg.matches(of: /class="(plot-[a-z]+)"/).map { String($0.output.1) })
    #expect(classes.count >= 10)
    // Lines that only guide the eye, and an area behind a line, may be faint.
    let faint: Set<String> = ["plot-grid", "plot-axis", "plot-range"]
    for name in classes {
      let rule = try #require(
        css.firstMatch(of: try Regex("\\.\(name) \\{([^}]*)\\}"))?.output[1].substring, "\(name) has no rule")
      let colours = rule.matches(of: /(fill|stroke|color): (var\(--([a-z]+)\)|#[0-9a-f]+)/)
      #expect(!colours.isEmpty, "\(name)")
      for colour in colours {
        let variable = try #require(colour.output.3, "\(name) has a colour of its own")
        guard !faint.contains(name) else { continue }
        for theme in themes {
          let (mark, ground) = (try #require(theme[String(variable)]), try #require(theme["surface"]))
          #expect(Self.contrast(mark, ground) >= 3, "\(name) on the surface")
        }
      }
    }
  }

  private static func variables(_ css: String) -> [String: String] {
    let pairs = css.matches(of: /--([a-z-]+): (#[0-9a-f]{3,6});/).map { (String($0.output.1), String($0.output.2)) }
    return Dictionary(pairs) { first, _ in first }
  }

  /// WCAG 2.2, relative luminance.
  private static func contrast(_ one: String, _ other: String) -> Double {
    let (a, b) = (luminance(one), luminance(other))
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
  }

  private static func luminance(_ hex: String) -> Double {
    let digits = Array(hex.dropFirst())
    let pairs =
      digits.count == 3
      ? digits.map { "\($0)\($0)" }
      : stride(from: 0, to: 6, by: 2).map {
        String(digits[$0...($0 + 1)])
      }
    let channels = pairs.map { pair -> Double in
      let value = Double(Int(pair, radix: 16) ?? 0) / 255
      return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
    }
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
  }
}
