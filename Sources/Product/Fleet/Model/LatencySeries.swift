import Basics
import OpenClaw
import Web

/// How far back a plot of checks looks.
public enum LatencyWindow: String, Codable, Sendable, CaseIterable {
  case hour = "1h"
  case day = "24h"
  case week = "7d"

  public var length: Duration {
    switch self {
    case .hour: .seconds(3_600)
    case .day: .seconds(86_400)
    case .week: .seconds(7 * 86_400)
    }
  }

  /// What one point of it stands for; zero for one check.
  var span: Duration {
    switch self {
    case .hour: .zero
    case .day: .seconds(300)
    case .week: .seconds(1_800)
    }
  }

  /// What a person reads.
  public var words: String {
    switch self {
    case .hour: "1 hour"
    case .day: "24 hours"
    case .week: "7 days"
    }
  }
}

/// How long the checks of an Instance took, and how it was meanwhile.
public struct LatencyView: Codable, Sendable, Equatable {
  public struct Point: Codable, Sendable, Equatable {
    /// When the check ended; of several, when their span began.
    public let at: Timestamp
    public let checks: Int
    public let failed: Int
    /// Of the checks that did not fail; nil when all did.
    public let minMilliseconds: Int64?
    public let medianMilliseconds: Int64?
    public let maxMilliseconds: Int64?
  }

  public struct Phase: Codable, Sendable, Equatable {
    public let link: ChainLink
    /// Of the Gateway WebSocket: the part of opening it that this is; nil for all of a link.
    public let part: OpeningPart?
    public let title: String
    /// Two points that are further apart have nothing between them: nobody looked.
    public let gapSeconds: Int
    public let points: [Point]
  }

  public let window: LatencyWindow
  public let from: Timestamp
  public let to: Timestamp
  /// One after the other, without a hole.
  public let statuses: [StatusSpan]
  /// In the order of the chain; without those that were never looked at. The parts of a link stand behind it.
  public let phases: [Phase]

  /// The whole links.
  var links: [Phase] { phases.filter { $0.part == nil } }
  /// What asking a Gateway consists of, in its order: how the WebSocket is opened, and the call for its health.
  var opening: [Phase] {
    let parts = phases.filter { $0.part != nil }
    return parts.isEmpty ? [] : parts + phases.filter { $0.link == .health }
  }

  /// Puts a window together.
  ///
  /// - Parameters:
  ///   - samples: oldest first.
  ///   - apart: the time between two samples of this Instance.
  static func of(
    _ samples: [CheckSample], _ transitions: [StatusSpan.Transition], window: LatencyWindow, policy: StatusPolicy,
    apart: Duration, now: Timestamp
  ) -> LatencyView {
    let from = now.advanced(by: .zero - window.length)
    let within = samples.filter { ($0.at >= from || $0.at.advanced(by: $0.span) > from) && $0.at <= now }
    // What was thinned stands for its whole span.
    let thinned = within.map(\.span).max() ?? .zero
    let patience = max(policy.unknownAfter, apart * policy.staleAfterIntervals, thinned * 2)
    let shown = window.span == .zero ? within : CheckSample.bySpan(within, window.span)
    func phase(
      _ link: ChainLink, _ part: OpeningPart?, _ title: String, _ row: (CheckSample) -> CheckSample.Phase?
    ) -> Phase? {
      let points = shown.compactMap { sample in row(sample).map { Point($0, at: max(sample.at, from)) } }
      let usual = link == .turn ? policy.turnStaleAfter : patience
      return points.isEmpty
        ? nil
        : Phase(
          link: link, part: part, title: title, gapSeconds: Int(max(usual, window.span * 1.5).seconds), points: points)
    }
    let phases = ChainLink.allCases.flatMap { link in
      [phase(link, nil, link == .host ? "Link round trip" : link.title) { $0.phases[link] }].compactMap { $0 }
        + (link == .hello
          ? OpeningPart.allCases.compactMap { part in phase(link, part, part.title) { $0.parts[part] } } : [])
    }
    return LatencyView(
      window: window, from: from, to: now,
      statuses: StatusSpan.spans(transitions, looks: within.map(\.at), patience: patience, from: from, to: now),
      phases: phases)
  }

  public static let schema = JSONSchema.object([
    "window": JSONSchema.oneOf(LatencyWindow.allCases.map(\.rawValue)), "from": JSONSchema.time, "to": JSONSchema.time,
    "statuses": JSONSchema.array(
      of: JSONSchema.object([
        "status": JSONSchema.oneOf(Status.allCases.map(\.rawValue)), "flapping": JSONSchema.bool,
        "from": JSONSchema.time, "to": JSONSchema.time,
      ])),
    "phases": JSONSchema.array(
      of: JSONSchema.object(
        [
          "link": JSONSchema.oneOf(ChainLink.allCases.map(\.rawValue)),
          "part": JSONSchema.oneOf(OpeningPart.allCases.map(\.rawValue)), "title": JSONSchema.text,
          "gapSeconds": JSONSchema.integer,
          "points": JSONSchema.array(
            of: JSONSchema.object(
              [
                "at": JSONSchema.time, "checks": JSONSchema.integer, "failed": JSONSchema.integer,
                "minMilliseconds": JSONSchema.integer, "medianMilliseconds": JSONSchema.integer,
                "maxMilliseconds": JSONSchema.integer,
              ], optional: ["minMilliseconds", "medianMilliseconds", "maxMilliseconds"])),
        ], optional: ["part"])),
  ])
}

extension OpeningPart {
  /// What it is called on screen.
  var title: String {
    switch self {
    case .tcp: "TCP"
    case .tls: "TLS"
    case .stream: "Stream of the path"
    case .upgrade: "WebSocket upgrade"
    case .greeting: "Hello"
    }
  }
}

extension LatencyView.Point {
  init(_ phase: CheckSample.Phase, at: Timestamp) {
    (self.at, checks, failed) = (at, phase.looked, phase.failed)
    (minMilliseconds, medianMilliseconds, maxMilliseconds) = (phase.took?.least, phase.took?.median, phase.took?.most)
  }
}

extension LatencyView.Phase {
  /// The points in runs that have nothing missing within.
  var runs: [[LatencyView.Point]] {
    var runs: [[LatencyView.Point]] = []
    for point in points {
      if let last = runs.last?.last, point.at.since(last.at) <= .seconds(gapSeconds) {
        runs[runs.count - 1].append(point)
      } else {
        runs.append([point])
      }
    }
    return runs
  }
}
