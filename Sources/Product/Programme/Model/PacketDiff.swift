import Access

/// What an amendment changed, phrase by phrase.
public struct PacketDiff: Codable, Sendable, Equatable {
  public struct Line: Codable, Sendable, Equatable {
    public enum Change: String, Codable, Sendable {
      case added
      case removed
    }

    /// `objective`, `delivers`, `won't do`, `opens`, `gates`, `fixtures`, …
    public let part: String
    public let change: Change
    public let text: String
  }

  public let lines: [Line]
  /// What the former packet closed and the new one does not name any more, and what the new one opens. None of it is
  /// open before the new packet passed its gates.
  public let widened: [ActScope]

  public init(from old: Packet, to new: Packet) {
    var lines: [Line] = []
    for (part, texts) in Self.parts {
      let (before, after) = (texts(old), texts(new))
      lines += before.filter { !after.contains($0) }.map { Line(part: part, change: .removed, text: $0) }
      lines += after.filter { !before.contains($0) }.map { Line(part: part, change: .added, text: $0) }
    }
    self.lines = lines
    let closed = { (packet: Packet) in Set(packet.wontDo.filter { !$0.unlessApproved }.flatMap(\.scopes)) }
    widened = closed(old).subtracting(closed(new)).union(Set(new.opens).subtracting(old.opens)).sorted()
  }

  private static let parts: [(String, @Sendable (Packet) -> [String])] = [
    ("title", { [$0.title, $0.summary] }), ("objective", { [$0.objective] }),
    ("delivers", { $0.delivers.map { $0.phrase + ($0.proof.map { " [proof: \($0)]" } ?? "") } }),
    (
      "won't do",
      {
        $0.wontDo.map { line in
          let scopes = line.scopes.map(\.rawValue).joined(separator: ", ")
          return line.phrase + (scopes.isEmpty ? "" : " [closes: \(scopes)]")
            + (line.unlessApproved ? " [unless approved]" : "")
        }
      }
    ), ("opens", { $0.opens.map(\.rawValue) }),
    (
      "gates",
      {
        $0.gates.map { gate in
          let milestones = gate.milestones.map { "\($0.id): \($0.done) / \($0.open)" }
          return ([gate.kind.rawValue, gate.title, "signatures \(gate.signatures)"] + milestones)
            .joined(separator: "; ")
        }
      }
    ), ("fixtures", { $0.fixtures }),
    ("authors", { $0.authors.map { $0.account + ($0.agent.map { " (\($0.model), run \($0.id))" } ?? "") } }),
  ]
}
