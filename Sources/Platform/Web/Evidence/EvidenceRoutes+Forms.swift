import Access
import Basics
import Evidence
import Hygiene

/// Hygiene and erasing: the console's forms, and what an entry's page shows of them.
extension EvidenceRoutes {
  var keepingForms: [Route] {
    [
      .form("/evidence/scan", "Runs the checks of hygiene over the whole log.", .evidenceManage, .evidenceScanned) {
        request in
        _ = try await service.scan(as: try request.actor)
        return .redirect(to: "/evidence")
      },
      .form("/evidence/{index}/erase", "Erases a field of an entry for good.", .evidenceManage, .evidenceErased) {
        request in
        let (index, form) = (try index(request), try request.form())
        let field = try form.text("field")
        try form.confirmed(field)
        try await service.erase(index, field: field, reason: try form.text("reason"), as: try request.actor)
        return .redirect(to: "/evidence/\(index)")
      },
      .form(
        "/evidence/{index}/review", "Says that what a scan found in an entry may stay.", .evidenceManage,
        .evidenceReviewed
      ) { request in
        let index = try index(request)
        let reason = try request.form().text("reason")
        try await service.review(index, reason: reason, as: try request.actor)
        return .redirect(to: "/evidence/\(index)")
      },
    ]
  }

  /// What an entry's page shows: the fields that can be erased, and what the newest scan found in it.
  func keepingValues(of index: Int64, _ request: WebRequest) async throws -> [String: JSONValue] {
    let fields = try await service.fields(index)
    let found = try await service.newest()?.verdict.findings.filter { $0.entry == index } ?? []
    return [
      "fields": .array(
        fields.fields.map { field in
          [
            "name": .string(field.name), "value": .string(field.value.stringValue ?? field.value.canonical),
            "confirm": .string(field.name), "index": .integer(index),
          ]
        }),
      "quarantined": .array(
        fields.quarantined.map { field in
          [
            "name": .string(field.field), "rule": .string(field.rule), "confirm": .string(field.field),
            "index": .integer(index),
          ]
        }),
      "hasQuarantined": .bool(!fields.quarantined.isEmpty),
      "hasFields": .bool(!fields.fields.isEmpty), "erased": .integer(Int64(fields.erased)),
      "hasErased": .bool(fields.erased > 0),
      "found": .array(
        found.map { finding in
          let field = finding.field.isEmpty ? "" : "\(finding.field): "
          return ["says": .string(field + finding.says), "title": .string(finding.layer.title)]
        }),
      "hasFound": .bool(!found.isEmpty),
      "mayReview": .bool(!fields.quarantined.isEmpty || found.contains { !$0.layer.blocks }),
      "mayManage": .bool(request.caller?.role == .owner),
    ]
  }
}
