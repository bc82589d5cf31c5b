import Basics
import Evidence

/// What the evidence of silences says to whoever looks at one Instance: a pure translation.
public enum SilenceStory {
  public static let kinds: [EvidenceKind] = [.silenceMade, .silenceEnded]

  /// - Parameters:
  ///   - org: the slug of the Instance's Org.
  ///   - subject: `instance/<id>`.
  /// - Returns: nil when the silence is of other alerts, or was recorded before its matchers were.
  public static func line(_ entry: EvidenceEntry, org: String, subject: String) -> (title: String, reason: String?)? {
    guard let matchers = try? entry.data["match"]?.decode(Matchers.self),
      matchers.mayTake(org: org, subject: subject)
    else { return nil }
    let isMaintenance = entry.data["sort"]?.stringValue == Silence.Sort.maintenance.rawValue
    let reason = entry.data["reason"]?.stringValue
    switch entry.kind {
    case .silenceMade:
      let (from, until) = (words(entry.data["from"]), words(entry.data["until"]))
      let what = isMaintenance ? "A maintenance window" : "A silence"
      return ("\(what) mutes its alerts from \(from) until \(until).", reason)
    case .silenceEnded:
      return ("The \(isMaintenance ? "maintenance window" : "silence") of its alerts was ended early.", reason)
    default: return nil
    }
  }

  /// `2026-11-26 17:00 UTC`: to the minute, as people write it.
  private static func words(_ time: JSONValue?) -> String {
    (time?.stringValue ?? "").prefix(16).split(separator: "T").joined(separator: " ") + " UTC"
  }
}

extension Silence {
  /// What the evidence of an act on it holds, for `SilenceStory`.
  var story: [String: JSONValue] {
    get throws {
      [
        "match": try JSONValue(encoding: matchers), "sort": .string(sort.rawValue),
        "from": .string(startsAt.description), "until": .string(endsAt.description), "reason": .string(reason),
      ]
    }
  }
}

extension Matchers {
  /// Whether alerts of an Instance can be among those that are matched.
  ///
  /// - Parameter subject: `instance/<id>`, which the conditions of its alerts begin with.
  func mayTake(org: String, subject: String) -> Bool {
    if let wanted = self.org, wanted.text != org { return false }
    if !types.isEmpty, !types.contains(where: { $0.hasPrefix("aw.instance.") }) { return false }
    guard let wanted = self.subject else { return true }
    return subject.hasPrefix(wanted) || wanted.hasPrefix(subject + "/")
  }
}
