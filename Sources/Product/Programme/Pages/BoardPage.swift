import Access
import Basics
import Evidence

/// What the board shows, on the console and in a file: a pure function of the one record, so that no two parts of it
/// can disagree.
///
/// Every member that a template asks for is there, because Mustache would look for a missing one further out.
struct BoardPage: Sendable {
  let board: ProgrammeBoard
  /// True for a file: all of it is in one document, and nothing outside it can be reached.
  let isExport: Bool

  init(_ board: ProgrammeBoard, isExport: Bool = false) { (self.board, self.isExport) = (board, isExport) }

  /// The digest of the record, over its canonical JSON (RFC 8785).
  var digest: PacketDigest { PacketDigest(of: board) }

  // MARK: - The board

  var values: [String: JSONValue] {
    let current = board.sequences.first { $0.id == board.current }
    return [
      "header": .string(board.header), "isExport": .bool(isExport), "deployment": .string(board.deployment),
      "made": moment(board.at), "asOf": end(board.at), "at": .string(board.at.description),
      "digest": digestValue(digest),
      "current": current.map { sequenceLink($0) } ?? .null, "next": next(board.next),
      "work": board.runtimeWork.map { ["words": .string($0.words)] } ?? .null,
      "review": board.latestReview.map { decision($0) } ?? .null,
      "recorded": current.map { ["words": .string(Self.recorded($0)), "gaps": gaps($0)] } ?? .null,
      "sequences": .array(board.sequences.map { sequence($0) }),
      "warnings": .array(board.warnings.map { warning($0) }), "hasWarnings": .bool(!board.warnings.isEmpty),
      "warningsWords": .string(warningsWords), "evidence": evidence,
      "violations": .array(board.violations.map { violation($0) }), "hasViolations": .bool(!board.violations.isEmpty),
      "tasks": .array(
        board.tasks.map { ["words": .string($0.words), "since": moment($0.since), "who": Self.names($0.people)] }),
      "hasTasks": .bool(!board.tasks.isEmpty), "since": board.since.map { moment($0) } ?? .null,
      "changes": .array(
        board.changes.reversed().map {
          [
            "made": moment($0.at), "sequence": .string($0.sequence.text), "link": .string(link($0.sequence)),
            "words": .string($0.words), "by": .string($0.by),
          ]
        }), "hasChanges": .bool(!board.changes.isEmpty),
    ]
  }

  private func sequenceLink(_ line: SequenceLine) -> JSONValue {
    [
      "id": .string(line.id.text), "link": .string(link(line.id)), "title": .string(line.title),
      "state": .string(line.state.rawValue), "look": .string(Self.look(line.state.rawValue)),
    ]
  }

  private var warningsWords: String {
    let open = board.warnings.filter(\.isOpen).count
    let settled = board.warnings.count - open
    if board.warnings.isEmpty { return "None was raised" }
    return "\(open) open, \(settled) settled"
  }

  private var evidence: JSONValue {
    let summary = board.evidence
    let hygiene = summary.hygiene
    let words = summary.words.replacing("Evidence hygiene: ", with: "").capitalisedFirst
    return [
      "words": .string(words), "entries": .integer(summary.entries),
      "ran": hygiene.map { ["items": .integer($0.items), "made": moment($0.at)] } ?? .null,
      "isStale": .bool(summary.isStale), "missed": .integer(hygiene?.added ?? 0),
      "checks": .array(
        (hygiene?.checks ?? []).map {
          [
            "id": .string($0.id), "title": .string($0.title), "findings": .integer($0.findings),
            "isClean": .bool($0.findings == 0),
          ]
        }), "hasChecks": .bool(hygiene?.checks.isEmpty == false),
    ]
  }

  private func violation(_ line: ViolationLine) -> JSONValue {
    [
      "uri": .string(line.evidence.uri), "place": .string(link(evidence: line.evidence.uri)),
      "digest": digestValue(line.evidence.digest), "made": moment(line.evidence.at), "kind": .string(line.kind),
      "scope": .string(line.scope.rawValue), "sequence": .string(line.sequence.text),
      "link": .string(link(line.sequence)), "packet": digestValue(line.packet), "line": .string(line.line),
    ]
  }

  private func warning(_ line: WarningLine) -> JSONValue {
    let state = !line.isOpen ? "settled" : line.waivedUntil != nil ? "waived" : "open"
    return [
      "id": .string(line.id.text), "state": .string(state), "assumption": .string(line.assumption),
      "threatens": .string(line.threatens), "sequence": .string(line.sequence.text),
      "link": .string(link(line.sequence)), "by": .string(line.raisedBy), "made": moment(line.at),
      "blocks": .string(line.blocks.map(\.rawValue).joined(separator: ", ")),
      "isOpen": .bool(line.isOpen), "waived": line.waivedUntil.map { end($0) } ?? .null,
      "resolvedBy": .string(line.resolvedBy.rawValue),
      "resolution": .string(line.resolution ?? ""), "settled": line.resolvedAt.map { moment($0) } ?? .null,
      "waivers": .array(
        line.waivers.map {
          [
            "by": .string($0.by), "reason": .string($0.reason), "made": moment($0.at), "until": end($0.expires),
            "isStruck": .bool($0.struckWords != nil), "why": .string($0.struckWords ?? ""),
          ]
        }), "hasWaivers": .bool(!line.waivers.isEmpty),
    ]
  }

  // MARK: - Parts that the sequences use, too

  func next(_ act: NextAct?) -> JSONValue {
    guard let act else { return .null }
    return [
      "words": .string(act.words), "who": .string(act.who), "since": moment(act.since),
      "command": .string(act.command),
    ]
  }

  func decision(_ line: DecisionLine) -> JSONValue {
    [
      "id": digestValue(line.id), "gate": .string(line.gate.rawValue), "result": .string(line.result.rawValue),
      "person": .string(line.person), "account": .string(line.account == line.person ? "" : line.account),
      "agent": line.agent.map {
        ["run": .string($0.id), "model": .string($0.model), "prompt": digestValue("sha256:" + $0.prompt)]
      } ?? .null,
      "packet": digestValue(line.packet), "made": moment(line.at), "until": end(line.expires),
      "isUsed": .bool(line.isUsed), "isStruck": .bool(line.struck != nil), "why": .string(line.struckWords ?? ""),
      "note": .string(line.note),
      "inputs": .array(
        line.evidence.map {
          ["uri": .string($0.uri), "digest": digestValue("sha256:" + ($0.digest["sha256"] ?? ""))]
        }), "hasInputs": .bool(!line.evidence.isEmpty),
    ]
  }

  /// A time that has an age. The console counts it on; a file says how old it was.
  func moment(_ at: Timestamp) -> JSONValue {
    let age = max(board.at.since(at), .zero)
    return ["time": .string(at.description), "words": .string("\(at.toTheMinute), \(age.words) old")]
  }

  /// A time at which something ends.
  func end(_ at: Timestamp) -> JSONValue { ["time": .string(at.description), "words": .string(at.toTheMinute)] }

  func digestValue(_ digest: PacketDigest) -> JSONValue { digestValue(digest.text) }

  func digestValue(_ text: String) -> JSONValue {
    ["whole": .string(text), "short": .string(String(text.prefix("sha256:".count + 12)))]
  }

  // MARK: - Links

  static func anchor(_ sequence: Slug) -> String { "\(sequence)-packet" }
  static func anchor(_ sequence: Slug, checkpoint number: Int) -> String { "\(sequence)-\(Checkpoint.name(number))" }

  /// Where the packet of a sequence is, with its versions and its checkpoints.
  func link(_ sequence: Slug) -> String { isExport ? "#" + Self.anchor(sequence) : "/programme/\(sequence)" }

  func link(_ sequence: Slug, checkpoint number: Int) -> String {
    (isExport ? "" : "/programme/\(sequence)") + "#" + Self.anchor(sequence, checkpoint: number)
  }

  /// Where evidence is read: an entry of the log, on the console. Empty for what is elsewhere.
  func link(evidence uri: String) -> String {
    guard !isExport, let index = uri.wholeMatch(of: /evidence\/([0-9]{1,18})/)?.output.1 else { return "" }
    return "/evidence/\(index)"
  }

  // MARK: - Words

  /// The part of a class name that a state has.
  static func look(_ state: String) -> String { state.lowercased().replacing(" ", with: "-") }

  static func names(_ people: [Slug]) -> JSONValue { .string(people.map(\.text).joined(separator: ", ")) }

  static func recorded(_ line: SequenceLine) -> String {
    let count = line.checkpoints.count
    return count == 1 ? "1 checkpoint recorded" : "\(count) checkpoints recorded"
  }

  func gaps(_ line: SequenceLine) -> JSONValue {
    .string(line.gaps.map { Checkpoint.name($0) }.joined(separator: ", "))
  }
}
