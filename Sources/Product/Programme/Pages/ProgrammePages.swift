import Access
import Basics
import Evidence
import HTTPTypes
import Store
import Web

/// The console of the programme: its board, the packet of each sequence, and the board as a file.
public struct ProgrammePages: Sendable {
  let service: ProgrammeService
  /// Renders the file: templates of its own, for it is the same wherever it is asked for.
  private let library: PageLibrary

  /// - Throws: `internalFailure` when the templates are not beside the program.
  public init(service: ProgrammeService) throws {
    self.service = service
    library = try PageLibrary(assets: try AssetFiles.load(), rooms: [try ProgrammePages.pages()])
  }

  public static func pages() throws -> RoomPages {
    RoomPages(
      navigation: [.init("Programme", path: "/programme", key: "p")],
      templates: try AssetFiles.templates(of: "Programme"))
  }

  public var routes: [Route] {
    [
      .page("/programme", "The board: how the programme stands, and what is next.") { try await boardPage($0) },
      .page("/programme/board.html", "The board as a file that stands for itself.") { request in
        let export = try await export(request)
        var response = WebResponse(body: .bytes(Array(export.html.utf8), type: "text/html; charset=utf-8"))
        response.headers[.contentDisposition] = "attachment; filename=\"aw-programme.html\""
        return response
      },
      .page("/programme/{sequence}", "A sequence: its packet in every version, its gates and checkpoints.") {
        try await sequencePage($0)
      },
      Route(
        .post, "/programme/seen", "Notes up to when somebody has read the board.", allowed: .permission(.read),
        effect: .writesUnrecorded(because: "What somebody has read is theirs, and changes nothing."), audience: .form,
        bodyBytesMax: WebLimits.formBytesMax
      ) { try await markSeen($0) },
      .read(
        "/api/v1/programme/export", "The board as a file that stands for itself, and the digest of its record.",
        schema: RouteSchema(
          response: JSONSchema.object([
            "at": JSONSchema.time, "digest": JSONSchema.text, "html": JSONSchema.text,
          ]), query: [.init("since", "Tell what changed after this time.", JSONSchema.time)])
      ) { request in try .json(encoding: try await export(request)) },
    ]
  }

  // MARK: - Pages

  private func boardPage(_ request: WebRequest) async throws -> WebResponse {
    let (asked, actor) = (try ProgrammeRoutes.since(of: request), try request.actor)
    let seen = try await service.store.read { tx in try ProgrammeVisits.last(of: actor, in: tx) }
    let since = asked ?? seen ?? service.clock.now.advanced(by: .zero - ProgrammeLimits.changesAtFirst)
    var values = BoardPage(try await service.board(since: since)).values
    values["isFirst"] = .bool(asked == nil && seen == nil)
    values["isAsked"] = .bool(asked != nil)
    values["span"] = .string(ProgrammeLimits.changesAtFirst.words)
    return .page(
      Page("Programme", template: "programme/board", values: .object(values), live: ProgrammeRoutes.topic))
  }

  private func sequencePage(_ request: WebRequest) async throws -> WebResponse {
    let id = try request.slug("sequence")
    let board = try await service.board()
    guard let line = board.sequences.first(where: { $0.id == id }) else {
      throw AWError(
        .programmeSequenceUnknown, "There is no sequence '\(id)' in the programme.", next: "See the board: /programme.")
    }
    let values = BoardPage(board).sequence(line)
    return .page(
      Page("\(id): \(line.title)", template: "programme/sequence", values: values, live: ProgrammeRoutes.topic))
  }

  /// Up to the record that was shown, not up to now: what came between is still new.
  private func markSeen(_ request: WebRequest) async throws -> WebResponse {
    let (actor, now) = (try request.actor, service.clock.now)
    guard let at = Timestamp(try request.form().text("at")), at <= now else {
      throw AWError(
        .usage, "The time up to which the board was read is none, or to come.", next: "Open the board anew.")
    }
    try await service.store.write { tx in try ProgrammeVisits.mark(actor, at: at, in: tx) }
    return .redirect(to: "/programme")
  }

  private func export(_ request: WebRequest) async throws -> BoardExport {
    try BoardExport(try await service.board(since: try ProgrammeRoutes.since(of: request)), library)
  }
}
