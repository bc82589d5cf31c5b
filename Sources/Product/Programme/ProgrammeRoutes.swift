import Access
import Basics
import Evidence
import Web

/// The API of the programme.
public struct ProgrammeRoutes: Sendable {
  /// At which open pages read themselves anew.
  public static let topic = "programme"

  let service: ProgrammeService

  public init(service: ProgrammeService) { self.service = service }

  private struct AmendBody: Codable {
    let packet: Packet
    let former: PacketDigest
    let reason: String
  }
  private struct DigestBody: Codable { let packet: PacketDigest }
  private struct NoteBody: Codable { let note: String }
  private struct WaiveBody: Codable {
    let reason: String
    let until: Timestamp
  }
  private struct SupersedeBody: Codable {
    let by: Slug
    let reason: String
  }

  private static let digestBody = JSONSchema.object(["packet": ProgrammeSchemas.digest])

  public var routes: [Route] { readers + packets + gates + records }

  private var readers: [Route] {
    [
      .read(
        "/api/v1/programme", "The programme: every sequence, its gates and checkpoints, and the one next act.",
        schema: RouteSchema(
          response: ProgrammeSchemas.board,
          query: [.init("since", "Tell what changed after this time.", JSONSchema.time)])
      ) { request in
        try .json(encoding: try await service.board(since: try Self.since(of: request)))
      },
      .read(
        "/api/v1/programme/{sequence}/packet", "The packet of a sequence, and those before it.",
        schema: RouteSchema(response: ProgrammeSchemas.packets)
      ) { request in
        let packets = try await service.packets(of: try request.slug("sequence"))
        return try .json(encoding: PacketsView(packets, service.trust.deployment))
      },
    ]
  }

  /// - Throws: `usage` for what is no time.
  static func since(of request: WebRequest) throws -> Timestamp? {
    try request.query("since").map { text in
      guard let time = Timestamp(text) else {
        throw AWError(.usage, "\(text.quoted) is no time.", next: "Write it like 2026-12-24T00:00:00Z.")
      }
      return time
    }
  }

  private var packets: [Route] {
    [
      act(
        "/programme/packets", "Adds a sequence, with its first packet.", .programmePacketRecorded,
        ProgrammeSchemas.packet
      ) {
        try await service.record(try $0.decode(), as: try $0.actor, dryRun: try $0.dryRun)
      },
      act(
        "/programme/{sequence}/amend", "Amends a packet: every approval of the former one is void.",
        .programmePacketAmended,
        JSONSchema.object([
          "packet": ProgrammeSchemas.packet, "former": ProgrammeSchemas.digest, "reason": JSONSchema.text,
        ])
      ) { request in
        let (body, sequence) = (try request.decode(AmendBody.self), try request.slug("sequence"))
        guard body.packet.sequence == sequence else {
          throw AWError(
            .programmePacketInvalid, "The packet is of '\(body.packet.sequence)', not of '\(sequence)'.",
            next: "Amend the sequence that it belongs to.")
        }
        return try await service.amend(
          body.packet, former: body.former, reason: body.reason, as: try request.actor, dryRun: try request.dryRun)
      },
      act(
        "/programme/{sequence}/propose", "Asks for the review of a packet.", .programmePacketProposed, Self.digestBody
      ) { request in
        try await service.propose(
          try request.slug("sequence"), try request.decode(DigestBody.self).packet, as: try request.actor,
          dryRun: try request.dryRun)
      },
      act(
        "/programme/{sequence}/supersede", "Ends a sequence whose place another one takes.", .programmeSuperseded,
        JSONSchema.object(["by": JSONSchema.slug, "reason": JSONSchema.text])
      ) { request in
        let body = try request.decode(SupersedeBody.self)
        return try await service.supersede(
          try request.slug("sequence"), by: body.by, reason: body.reason, as: try request.actor,
          dryRun: try request.dryRun)
      },
    ]
  }

  private var gates: [Route] {
    [
      act(
        "/programme/{sequence}/decisions", "Takes a decision that somebody signed.", .programmeDecided,
        ProgrammeSchemas.envelope
      ) { request in
        try await service.decide(
          try request.decode(), try request.slug("sequence"), as: try request.actor, dryRun: try request.dryRun)
      },
      act(
        "/programme/{sequence}/begin", "Begins work on an approved packet, which uses its approvals up.",
        .programmeBegun, Self.digestBody
      ) { try await execute(.begin, $0) },
      act(
        "/programme/{sequence}/finish", "Ends a sequence whose proof was judged.", .programmeFinished, Self.digestBody
      ) { try await execute(.finish, $0) },
    ]
  }

  private func execute(_ act: Execution.Act, _ request: WebRequest) async throws -> ProgrammeAnswer {
    try await service.execute(
      act, try request.slug("sequence"), try request.decode(DigestBody.self).packet, as: try request.actor,
      dryRun: try request.dryRun)
  }

  private var records: [Route] {
    [
      act(
        "/programme/{sequence}/checkpoints", "Records a checkpoint that a person attests.",
        .programmeCheckpointRecorded,
        JSONSchema.object(
          [
            "title": JSONSchema.text, "number": JSONSchema.integer,
            "claims": JSONSchema.array(
              of: JSONSchema.object(
                ["text": JSONSchema.text, "holds": JSONSchema.bool, "milestone": JSONSchema.slug],
                optional: ["holds", "milestone"])), "evidence": JSONSchema.array(of: ProgrammeSchemas.evidence),
          ], optional: ["number", "evidence"])
      ) { request in
        try await service.checkpoint(
          try request.decode(), try request.slug("sequence"), as: try request.actor, dryRun: try request.dryRun)
      },
      .act(
        .post, "/api/v1/programme/{sequence}/prove", "Runs the proofs of a sequence, and records what they saw.",
        .programmeManage, .programmeCheckpointRecorded,
        schema: RouteSchema(request: ProgrammeSchemas.subject, response: ProgrammeSchemas.proofs, status: 201)
      ) { request in
        let (sequence, subject) = (try request.slug("sequence"), try request.decode(ProofSubject.self))
        if try request.dryRun {
          let steps = try await service.proofSteps(of: sequence)
          return try .plan(Plan(act: EvidenceKind.programmeCheckpointRecorded.id, subject: sequence.text, steps: steps))
        }
        let report = try await service.prove(sequence, subject, as: try request.actor)
        return try .created(report, at: "/api/v1/programme")
      },
      act(
        "/programme/{sequence}/warnings", "Raises an architecture warning, which blocks the gates that it names.",
        .programmeWarned,
        JSONSchema.object([
          "assumption": JSONSchema.text, "threatens": JSONSchema.text, "resolvedBy": ProgrammeSchemas.gate,
          "blocks": JSONSchema.array(of: ProgrammeSchemas.gate),
        ])
      ) { request in
        try await service.warn(
          try request.decode(), try request.slug("sequence"), as: try request.actor, dryRun: try request.dryRun)
      },
      act(
        "/programme/warnings/{warning}/resolve", "Settles an architecture warning that its gate has decided on.",
        .programmeWarningResolved, JSONSchema.object(["note": JSONSchema.text])
      ) { request in
        try await service.resolve(
          try request.id("warning"), note: try request.decode(NoteBody.self).note, as: try request.actor,
          dryRun: try request.dryRun)
      },
      act(
        "/programme/warnings/{warning}/waive", "Lets the gates that a warning blocks be decided for a while.",
        .programmeWarningWaived, JSONSchema.object(["reason": JSONSchema.text, "until": JSONSchema.time])
      ) { request in
        let body = try request.decode(WaiveBody.self)
        return try await service.waive(
          try request.id("warning"), reason: body.reason, until: body.until, as: try request.actor,
          dryRun: try request.dryRun)
      },
    ]
  }

  private func act(
    _ path: String, _ summary: String, _ kind: EvidenceKind, _ body: JSONValue,
    _ handler: @escaping @Sendable (WebRequest) async throws -> ProgrammeAnswer
  ) -> Route {
    .act(
      .post, "/api/v1\(path)", summary, .programmeManage, kind,
      schema: RouteSchema(request: body, response: ProgrammeSchemas.answer, status: 201)
    ) { request in
      let answer = try await handler(request)
      guard try request.dryRun else { return try .created(answer, at: "/api/v1/programme") }
      var steps = ["\(answer.change.capitalisedFirst)."]
      steps += (answer.diff?.lines ?? []).map { "\($0.part): \($0.change.rawValue) \($0.text.quoted)" }
      steps += ["'\(answer.sequence)' is then: \(answer.state.rawValue).", "\(answer.header)."]
      return try .plan(Plan(act: kind.id, subject: answer.sequence.text, steps: steps))
    }
  }
}
