import Basics
import Client
import Evidence
import Foundation
import Programme
import Testing

/// The people of the programme in every scene, and what they do by the command line: `ada` writes and commits, `eve`
/// reviews, `una` approves, `pat` judges proofs.
struct Programming {
  let scene: Scene
  /// By which `ada` is somebody.
  let ada: [String]
  let socket: [String]

  private static let roles: [(name: String, role: ProgrammeRole)] = [
    ("ada", .committer), ("eve", .reviewer), ("una", .owner), ("pat", .prover),
  ]
  private static let keys = Result {
    try Dictionary(uniqueKeysWithValues: roles.map { ($0.name, try ApproverKey.make(name: $0.name)) })
  }

  static func trust() throws -> ProgrammeTrust {
    let lines = try roles.map { name, role in
      "\(role.rawValue) \(name) \(try #require(try keys.get()[name]).verifierKey.text)"
    }
    return try ProgrammeTrust(
      deployment: "", parsing: "# who decides\n" + lines.joined(separator: "\n") + "\naccount ada-bot ada\n")
  }

  init(in scene: Scene) async throws {
    self.scene = scene
    ada = ["--context", try await Gating(in: scene).context]
    socket = ["--context", scene.directory + "/control/context.json"]
    for (name, key) in try Self.keys.get() {
      try key.text.withText { try $0.write(toFile: file("\(name).key"), atomically: true, encoding: .utf8) }
    }
  }

  func file(_ name: String) -> String { scene.directory + "/" + name }

  @discardableResult
  func aw(_ arguments: [String], code: Int32 = 0) async throws -> Programs.Answer {
    let answer = try await Programs.run(arguments)
    #expect(answer.code == code, "\(arguments): \(answer)")
    return answer
  }

  /// Asks for a decision, signs it offline, and hands it in.
  ///
  /// - Returns: the envelope's file.
  @discardableResult
  func decide(
    _ gate: GateKind, _ sequence: String, by name: String, checkpoints: [Int] = [], result: String = "PASSED",
    code: Int32 = 0
  ) async throws -> String {
    let tag = Hex.encode([UInt8].random(count: 4))
    let (paper, envelope) = (file("paper-\(tag).json"), file("envelope-\(tag).json"))
    let evidence = checkpoints.flatMap { ["--checkpoint", "\($0)"] }
    try await aw(
      ["programme", "decide", "request", sequence, gate.rawValue, "--out", paper] + evidence + socket)
    // The signer's machine knows neither the context nor the control plane.
    try await aw(
      [
        "programme", "decide", "sign", paper, "--key", file("\(name).key"), "--result", result, "--note", "read whole",
        "--out", envelope,
      ])
    try await aw(["programme", "decide", "submit", envelope] + socket, code: code)
    return envelope
  }

  func board() async throws -> ProgrammeBoard {
    let answer = try await aw(["programme", "board", "--json"] + socket)
    return try JSONValue.decode(ProgrammeBoard.self, from: answer.output)
  }

  // MARK: - The contract of the API

  static func rehearsals(_ scene: Scene) async throws -> [String: (path: String, body: JSONValue?)] {
    let view = try await scene.client.send(.get, "/programme/build-sequence-1/packet", as: PacketsView.self)
    return [
      "POST /api/v1/programme/{sequence}/propose": (
        "/programme/build-sequence-1/propose", ["packet": .string(view.digest.text)]
      ),
      "POST /api/v1/programme/{sequence}/prove": (
        "/programme/build-sequence-0/prove", ["org": "acme", "instance": "acme-main"]
      ),
    ]
  }

  /// Acts that need a person who answers for them, a signature, or a warning that was raised: see the scenario.
  static let personal: Set<String> = [
    "POST /api/v1/programme/packets", "POST /api/v1/programme/{sequence}/amend",
    "POST /api/v1/programme/{sequence}/supersede", "POST /api/v1/programme/{sequence}/decisions",
    "POST /api/v1/programme/{sequence}/begin", "POST /api/v1/programme/{sequence}/finish",
    "POST /api/v1/programme/{sequence}/checkpoints", "POST /api/v1/programme/{sequence}/warnings",
    "POST /api/v1/programme/warnings/{warning}/resolve", "POST /api/v1/programme/warnings/{warning}/waive",
  ]
}
