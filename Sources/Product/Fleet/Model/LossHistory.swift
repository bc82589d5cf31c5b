import Basics
import Link
import Web

/// How far back a plot of losses looks.
public enum LossWindow: String, Codable, Sendable, CaseIterable {
  case day = "24h"
  case week = "7d"
  case month = "30d"

  public var length: Duration {
    switch self {
    case .day: .seconds(86_400)
    case .week: .seconds(7 * 86_400)
    case .month: .seconds(30 * 86_400)
    }
  }

  /// What a person reads.
  public var words: String {
    switch self {
    case .day: "24 hours"
    case .week: "7 days"
    case .month: "30 days"
    }
  }
}

/// The losses of a Host's link over time, class by class.
public struct LossHistoryView: Codable, Sendable, Equatable {
  /// Losses looked at, the newest.
  static let lossesMax = 1_000

  public struct Outage: Codable, Sendable, Equatable {
    public let id: LossID
    public let at: Timestamp
    /// When a link was up again; nil while none is.
    public let until: Timestamp?
  }

  public struct OfClass: Codable, Sendable, Equatable {
    public let lossClass: LossClass
    public let side: LossClass.Side
    public let explanation: String
    /// How long there was no link within the window, of all of them.
    public let outageMilliseconds: Int64
    /// Oldest first.
    public let losses: [Outage]

    private enum CodingKeys: String, CodingKey {
      case side, explanation, outageMilliseconds, losses
      case lossClass = "class"
    }
  }

  public let window: LossWindow
  public let from: Timestamp
  public let to: Timestamp
  /// True when there were so many losses that older ones of the window are not in it.
  public let truncated: Bool
  /// The most frequent first.
  public let classes: [OfClass]

  /// - Parameter losses: newest first.
  static func of(_ losses: [Loss], window: LossWindow, from: Timestamp, to: Timestamp) -> LossHistoryView {
    let within = losses.filter { ($0.recoveredAt ?? to) >= from && $0.at <= to }
    let classes = Dictionary(grouping: within.reversed()) { $0.verdict.lossClass }.map { lossClass, losses in
      OfClass(
        lossClass: lossClass, side: lossClass.side, explanation: lossClass.explanation,
        outageMilliseconds: losses.map { min($0.recoveredAt ?? to, to).since(max($0.at, from)).milliseconds }
          .reduce(0, +),
        losses: losses.map { Outage(id: $0.id, at: $0.at, until: $0.recoveredAt) })
    }
    return LossHistoryView(
      window: window, from: from, to: to,
      truncated: losses.count >= lossesMax && (losses.last?.at).map { $0 > from } ?? false,
      classes: classes.sorted {
        ($1.losses.count, $0.lossClass.rawValue) < ($0.losses.count, $1.lossClass.rawValue)
      })
  }

  public static let schema = JSONSchema.object([
    "window": JSONSchema.oneOf(LossWindow.allCases.map(\.rawValue)), "from": JSONSchema.time, "to": JSONSchema.time,
    "truncated": JSONSchema.bool,
    "classes": JSONSchema.array(
      of: JSONSchema.object([
        "class": JSONSchema.oneOf(LossClass.allCases.map(\.rawValue)),
        "side": JSONSchema.oneOf(LossClass.Side.allCases.map(\.rawValue)), "explanation": JSONSchema.text,
        "outageMilliseconds": JSONSchema.integer,
        "losses": JSONSchema.array(
          of: JSONSchema.object(
            ["id": JSONSchema.id, "at": JSONSchema.time, "until": JSONSchema.time], optional: ["until"])),
      ])),
  ])
}
