"use strict";

window.addEventListener("load", () => {
  const ui = SwaggerUIBundle({
    dom_id: "#swagger-ui",
    urls: [
      { url: "../v3/api-docs", name: "Platform" },
      { url: "../v3/api-docs/actions", name: "Actions of the agents" },
    ],
    deepLinking: true,
    persistAuthorization: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: "StandaloneLayout",
    // The documents themselves may need the token that was given under "Authorize".
    requestInterceptor: (request) => {
      const bearer = ui.authSelectors?.authorized()?.getIn(["bearerAuth", "value"]);
      if (bearer && request.loadSpec && !request.headers.Authorization) {
        request.headers.Authorization = `Bearer ${bearer}`;
      }
      return request;
    },
  });
});
