import Basics
import Hygiene
import Vault

extension EvidenceKind {
  public static let evidenceWithheld = EvidenceKind("evidence.withheld")
}

/// What is done with an entry that would hold a secret.
public enum SecretStance: Sendable {
  /// The append fails, and the act with it: somebody asked for it and can ask otherwise.
  case refuse
  /// The texts that hold it are replaced by a label, and another entry says so: what AW saw must not go unrecorded.
  case withhold
}

/// The first check of hygiene, before anything is written: no entry holds a value of the vault, in any form.
extension EvidenceLog {
  struct Screened {
    var entry: EvidenceEntry
    var redactable: [Redactable]
    var found: [ExactScanner.Finding] = []
  }

  func screen(_ entry: EvidenceEntry, _ redactable: [Redactable], _ stance: SecretStance) throws -> Screened {
    guard let scanner = try watch?.current() else { return Screened(entry: entry, redactable: redactable) }
    let found = EvidenceLog.findings(entry, redactable, scanner)
    guard let first = found.first else { return Screened(entry: entry, redactable: redactable) }
    guard stance == .withhold else { throw EvidenceLog.secret(first) }
    var screened = Screened(entry: entry, redactable: redactable, found: found)
    screened.entry.data = EvidenceLog.withheld(entry.data, scanner)
    if let slug = entry.subject?.slug, !scanner.scan(slug).findings.isEmpty {
      screened.entry.subject = entry.subject.map { EvidenceSubject(type: $0.type, id: $0.id) }
    }
    screened.redactable = redactable.map { Redactable($0.name, EvidenceLog.withheld($0.value, scanner)) }
    // What is left can stand in a kind, an id or an actor, none of which is text of somebody else's, or go over two
    // fields.
    if let left = EvidenceLog.findings(screened.entry, screened.redactable, scanner).first {
      throw EvidenceLog.secret(left)
    }
    return screened
  }

  func withheld(_ found: [ExactScanner.Finding], in entry: EvidenceEntry, at index: Int64) -> EvidenceEntry {
    let references = Set(found.map { [$0.reference, $0.form.rawText] }).sorted { $0.joined() < $1.joined() }
    return EvidenceEntry(
      kind: .evidenceWithheld, at: entry.at, actor: "system/hygiene",
      subject: EvidenceSubject(type: "evidence", id: String(index)), org: entry.org, act: entry.act,
      data: [
        "entry": .integer(index), "kind": .string(entry.kind.id),
        "found": .array(references.map { ["reference": .string($0[0]), "form": .string($0[1])] }),
      ])
  }

  private static func findings(
    _ entry: EvidenceEntry, _ redactable: [Redactable], _ scanner: ExactScanner
  ) -> [ExactScanner.Finding] {
    // The index is a number, which no value can be part of.
    scanner.scan(entry.bytes(index: 0)).findings
      + redactable.flatMap { scanner.scan(JSONValue.object([$0.name: $0.value]).canonical).findings }
  }

  /// The value with every text replaced that holds a secret. A member whose name holds one goes.
  private static func withheld(_ value: JSONValue, _ scanner: ExactScanner) -> JSONValue {
    switch value {
    case .string(let text):
      guard let found = scanner.scan(JSONValue.string(text).canonical).findings.first else { return value }
      return .string("[withheld: \(found.reference)]")
    case .array(let elements): return .array(elements.map { withheld($0, scanner) })
    case .object(let members):
      let kept = members.filter { scanner.scan($0.key).findings.isEmpty }
      return .object(kept.mapValues { withheld($0, scanner) })
    default: return value
    }
  }

  private static func secret(_ finding: ExactScanner.Finding) -> AWError {
    AWError(
      .evidenceSecret, "The record of this would hold the value of \(finding.reference.quoted), \(finding.form.title).",
      next: "Say it without the value. If somebody else gave you the text, the secret is out: rotate it.")
  }
}
