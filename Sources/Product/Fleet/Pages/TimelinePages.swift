import Access
import Basics
import Link
import Web
import Work

/// What happened to an Instance, and how long its checks took.
extension FleetRoutes {
  /// Items of a page.
  static let timelineItems = 25
  /// Rows of the table beside the plot; the API has all points.
  static let pointsShown = 100

  var timelinePages: [Route] {
    [
      .page("/instances/{instance}/timeline", "What happened to an Instance, and how long its checks took.") {
        request in try await timelinePage(request)
      }
    ]
  }

  private func timelinePage(_ request: WebRequest) async throws -> WebResponse {
    let slug = try request.slug("instance")
    let view = try await reader.instance(slug)
    let window: LatencyWindow = try request.word("window") ?? .hour
    let wanted = ListingRequest(limit: Self.timelineItems, after: try request.listing().after)
    let read = try await reader.timeline(of: slug, before: try Self.index(wanted.after), limit: wanted.readLimit)
    let page = Listing(read, for: wanted) { [String($0.index)] }
    let names = try await ActorNames(of: page.items.map(\.actor), in: reader.store)
    let address = "/instances/\(slug)/timeline"
    var values: [String: JSONValue] = [
      "slug": .string(slug.text), "isOlder": .bool(wanted.after != nil),
      "items": .array(page.items.map { Self.event($0, names) }), "hasItems": .bool(!page.items.isEmpty),
      "first": .string(wanted.after == nil ? "" : address),
      "next": .string(page.next.map { "\(address)?cursor=\($0.text)" } ?? ""),
    ]
    var drawings: [String: Drawing] = [:]
    if wanted.after == nil {
      let latency = try await reader.latency(of: slug, window)
      values.merge(Self.latency(latency, of: slug)) { _, new in new }
      drawings["wide"] = LatencyPlot.draw(latency, size: .wide, id: try Slug("latency-wide"))
      drawings["narrow"] = LatencyPlot.draw(latency, size: .narrow, id: try Slug("latency-narrow"))
      if !latency.opening.isEmpty {
        drawings["openingwide"] = LatencyPlot.draw(latency, .opening, size: .wide, id: try Slug("opening-wide"))
        drawings["openingnarrow"] = LatencyPlot.draw(latency, .opening, size: .narrow, id: try Slug("opening-narrow"))
      }
    }
    return .page(
      Page(
        "Timeline of \(slug)", template: "fleet/timeline", values: .object(values), drawings: drawings,
        // Older pages do not change.
        live: wanted.after == nil ? FleetTopics.instance(view.id) : nil))
  }

  // MARK: - Events

  private static func event(_ item: TimelineItem, _ names: ActorNames) -> JSONValue {
    var values: [String: JSONValue] = [
      "index": .integer(item.index), "at": .string(item.at.description), "moment": .string(PlotFrame.moment(item.at)),
      "sort": .string(item.sort.rawValue), "title": .string(item.sort == .status ? "Its status changed." : item.title),
      "actor": .string(names.words(for: item.actor)),
      "reason": .string(item.reason ?? ""),
    ]
    if item.to != nil, item.sort != .link {
      values["change"] = [
        "before": item.from.map { ["status": .string($0.rawValue)] } ?? .null,
        "after": item.to.map { ["status": .string($0.rawValue)] } ?? .null, "cause": .string(item.cause?.title ?? ""),
      ]
    }
    if let chain = item.chain {
      values["hasChain"] = true
      values["chain"] = .array(chain.map(Self.chainRow))
    }
    if let loss = item.loss {
      values["loss"] = [
        "class": .string(loss.lossClass.rawValue), "explanation": .string(loss.explanation),
        "side": .string(loss.side.rawValue),
        "outage": .string(
          loss.outageMilliseconds.map { "without a link for \(Duration.milliseconds($0).words)" } ?? "no link yet"),
      ]
    }
    if let operation = item.operation {
      values["hasSteps"] = true
      values["failure"] =
        operation.failure.map {
          ["message": .string($0.message), "next": .string($0.next), "code": .string($0.code)]
        } ?? .null
      values["steps"] = .array(
        operation.steps.map { step in
          [
            "title": .string(step.title), "state": .string(step.state.rawValue),
            "took": .string(step.milliseconds.map { "\($0) ms" } ?? ""),
          ]
        })
    }
    return .object(values)
  }

  private static func chainRow(_ check: CheckView) -> JSONValue {
    [
      "title": .string(check.title), "class": .string(look(check)),
      "outcome": .string(check.behindFailure ? "not looked at since" : check.outcome),
      "took": .string("\(check.durationMilliseconds) ms"), "lookedAt": .string(check.at.description),
      "lookedWords": .string(PlotFrame.moment(check.at, seconds: true)),
      "why": .string(check.message.map { "\($0) [\(check.code ?? "")]" } ?? ""),
    ]
  }

  // MARK: - Latency, as tables

  private static func latency(_ view: LatencyView, of slug: Slug) -> [String: JSONValue] {
    let times = Set(view.links.flatMap { $0.points.map(\.at) }).sorted(by: >)
    let shown = times.prefix(pointsShown)
    return [
      "hasLatency": .bool(!view.phases.isEmpty), "hasOpening": .bool(!view.opening.isEmpty),
      "window": .string(view.window.words),
      "windowName": .string(view.window.rawValue), "hasRange": .bool(view.window.span > .zero),
      "span": .string(view.window.span.words), "isCut": .bool(shown.count < times.count),
      "rowsShown": .integer(Int64(shown.count)),
      "windows": .array(
        LatencyWindow.allCases.map { window in
          [
            "words": .string(window.words), "isChosen": .bool(window == view.window),
            "to": .string("/instances/\(slug)/timeline?window=\(window.rawValue)"),
          ]
        }),
      "spans": .array(
        view.statuses.reversed().map { span in
          [
            "status": .string(span.status.rawValue), "flapping": .bool(span.flapping),
            "from": .string(span.from.description), "to": .string(span.to.description),
            "fromWords": .string(PlotFrame.moment(span.from, seconds: true)),
            "toWords": .string(PlotFrame.moment(span.to, seconds: true)),
          ]
        }),
      "phases": .array(view.links.map(Self.phase)), "parts": .array(view.opening.map(Self.phase)),
      "points": .array(shown.map { Self.point($0, in: view) }),
    ]
  }

  private static func phase(_ phase: LatencyView.Phase) -> JSONValue {
    let medians = phase.points.compactMap(\.medianMilliseconds).sorted()
    func words(_ value: Int64?) -> JSONValue { .string(value.map { "\($0) ms" } ?? "none") }
    return [
      "title": .string(phase.title), "checks": .integer(Int64(phase.points.map(\.checks).reduce(0, +))),
      "failed": .integer(Int64(phase.points.map(\.failed).reduce(0, +))),
      "least": words(phase.points.compactMap(\.minMilliseconds).min()),
      "median": words(medians.isEmpty ? nil : medians[(medians.count - 1) / 2]),
      "most": words(phase.points.compactMap(\.maxMilliseconds).max()),
    ]
  }

  private static func point(_ at: Timestamp, in view: LatencyView) -> JSONValue {
    [
      "at": .string(at.description), "moment": .string(PlotFrame.moment(at, seconds: view.window == .hour)),
      "cells": .array(
        view.links.map { phase in
          let point = phase.points.first { $0.at == at }
          let failed = point.map { $0.failed > 0 ? "\($0.failed) of \($0.checks) failed" : "" } ?? ""
          let took = point?.medianMilliseconds.map { "\($0)" } ?? ""
          let says = [took, failed].filter { !$0.isEmpty }.joined(separator: ", ")
          return ["title": .string(phase.title), "says": .string(says.isEmpty ? "not looked at" : says)]
        }),
    ]
  }
}
